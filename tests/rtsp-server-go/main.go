// Command rtsp-server-go is a camera for tests: an RTSP server on the library gortsplib, which is not ours.
//
// It plays MPEG-TS files (H.264 or H.265, with or without AAC) in an endless loop with timestamps that only grow, each
// under a path of its own. A raw G.711 file can stand in for the sound. It also takes what a publisher sends to any
// other path (ANNOUNCE, RECORD) and serves it on. With a certificate it speaks TLS. Some paths are those of cameras that are wrong, see odd.
//
// When it is ready it prints one line of JSON, {"ready":true,"rtsp":PORT}. It ends on SIGTERM and SIGINT.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/auth"
)

// serve collects the -serve flags: PATH=FILE.ts or PATH=FILE.ts+FILE.mulaw or PATH=FILE.ts+FILE.alaw.
type serve map[string]string

func (s serve) String() string { return "" }
func (s serve) Set(v string) error {
	path, files, ok := strings.Cut(v, "=")
	if !ok || path == "" || files == "" {
		return fmt.Errorf("want PATH=FILE.ts[+FILE.mulaw], got %q", v)
	}
	s[strings.Trim(path, "/")] = files
	return nil
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	files := serve{}
	bind := flag.String("bind", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "RTSP port; 0 takes a free one")
	method := flag.String("auth", "none", "none, basic or digest")
	user := flag.String("user", "", "user name for -auth")
	password := flag.String("password", "", "password for -auth")
	udp := flag.Bool("udp", true, "offer UDP")
	tcp := flag.Bool("tcp", true, "offer RTP over the RTSP connection")
	certificate := flag.String("tls-cert", "", "PEM file with a certificate: RTSP inside of TLS alone, and no UDP")
	key := flag.String("tls-key", "", "PEM file with its key")
	flag.Var(files, "serve", "PATH=FILE.ts[+FILE.mulaw|.alaw], may be given more than once")
	flag.Parse()

	h := &handler{streams: map[string]*gortsplib.ServerStream{}, user: *user, password: *password, udpOnly: !*tcp}
	// A keyframe of a fat clip is more packets than the library's queue has places, and so are the seconds that it slept.
	server := &gortsplib.Server{Handler: h, RTSPAddress: fmt.Sprintf("%s:%d", *bind, *port), WriteQueueSize: 4096}
	h.server = server
	switch *method {
	case "none":
		h.open = true
	case "basic":
		server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodBasic}
	case "digest":
		server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodDigestMD5}
	default:
		log.Fatalf("-auth is none, basic or digest, not %q", *method)
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
		*udp = false
	}
	listening := *port
	server.Listen = func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err == nil {
			listening = l.Addr().(*net.TCPAddr).Port
		}
		return l, err
	}
	if err := start(server, *bind, *udp); err != nil {
		log.Fatal(err)
	}

	for path, names := range files {
		clip, err := readClip(names)
		if err != nil {
			log.Fatalf("%s: %v", names, err)
		}
		stream := &gortsplib.ServerStream{Server: server, Desc: clip.description()}
		if err := stream.Initialize(); err != nil {
			log.Fatalf("%s: %v", names, err)
		}
		h.add(path, stream)
		go func() { log.Fatalf("%s: %v", path, clip.play(stream)) }()
	}

	streams, err := odd(server)
	if err != nil {
		log.Fatal(err)
	}
	for path, stream := range streams {
		h.add(path, stream)
	}

	ready, err := json.Marshal(map[string]any{"ready": true, "rtsp": listening})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(ready))

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	server.Close()
}

// start starts the server. RTP over UDP wants an even port and the one after it, so it tries pairs until one is free.
func start(server *gortsplib.Server, bind string, udp bool) error {
	if !udp {
		return server.Start()
	}
	var err error
	for range 50 {
		rtp := 20000 + 2*rand.IntN(6000)
		server.UDPRTPAddress = fmt.Sprintf("%s:%d", bind, rtp)
		server.UDPRTCPAddress = fmt.Sprintf("%s:%d", bind, rtp+1)
		if err = server.Start(); err == nil || !strings.Contains(err.Error(), "udp") {
			return err
		}
	}
	return err
}
