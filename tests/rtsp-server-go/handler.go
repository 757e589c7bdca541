package main

import (
	"log"
	"net"
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtp"
)

// handler answers RTSP requests: it knows the streams by path and who may have them.
type handler struct {
	server         *gortsplib.Server
	open           bool // no credentials wanted
	udpOnly        bool // RTP over the RTSP connection is refused
	user, password string

	mutex   sync.RWMutex
	streams map[string]*gortsplib.ServerStream
}

// publication is what a publishing session carries: where its packets go.
type publication struct {
	path   string
	stream *gortsplib.ServerStream
	from   net.Addr // nil before RECORD
}

func answer(code base.StatusCode) *base.Response { return &base.Response{StatusCode: code} }

func (h *handler) add(path string, s *gortsplib.ServerStream) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.streams[path] = s
}

// find looks the stream of a request up and checks the credentials that came with it.
func (h *handler) find(conn *gortsplib.ServerConn, req *base.Request, path string) (*base.Response, *gortsplib.ServerStream, error) {
	if !h.open && !conn.VerifyCredentials(req, h.user, h.password) {
		return answer(base.StatusUnauthorized), nil, liberrors.ErrServerAuth{}
	}
	h.mutex.RLock()
	defer h.mutex.RUnlock()
	s := h.streams[strings.Trim(path, "/")]
	if s == nil {
		return answer(base.StatusNotFound), nil, nil
	}
	return answer(base.StatusOK), s, nil
}

func (h *handler) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	log.Printf("%v connected", ctx.Conn.NetConn().RemoteAddr())
}

func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	log.Printf("%v gone: %v", ctx.Conn.NetConn().RemoteAddr(), ctx.Error)
}

func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.find(ctx.Conn, ctx.Request, ctx.Path)
}

func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if h.udpOnly && ctx.Transport == gortsplib.TransportTCP {
		return answer(base.StatusUnsupportedTransport), nil, nil
	}
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return answer(base.StatusOK), nil, nil
	}
	return h.find(ctx.Conn, ctx.Request, ctx.Path)
}

func (h *handler) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	log.Printf("%v plays %s over %v", ctx.Conn.NetConn().RemoteAddr(), ctx.Path, ctx.Session.SetuppedTransport())
	log.Printf("%v asks for %s://%s", ctx.Conn.NetConn().RemoteAddr(), ctx.Request.URL.Scheme, ctx.Request.URL.Host)
	return answer(base.StatusOK), nil
}

func (h *handler) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if !h.open && !ctx.Conn.VerifyCredentials(ctx.Request, h.user, h.password) {
		return answer(base.StatusUnauthorized), liberrors.ErrServerAuth{}
	}
	path := strings.Trim(ctx.Path, "/")
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.streams[path] != nil {
		return answer(base.StatusForbidden), nil
	}
	s := &gortsplib.ServerStream{Server: h.server, Desc: ctx.Description}
	if err := s.Initialize(); err != nil {
		return answer(base.StatusBadRequest), err
	}
	h.streams[path] = s
	ctx.Session.SetUserData(&publication{path: path, stream: s})
	return answer(base.StatusOK), nil
}

func (h *handler) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	p := ctx.Session.UserData().(*publication)
	p.from = ctx.Conn.NetConn().RemoteAddr()
	log.Printf("%v publishes %s", p.from, p.path)
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, packet *rtp.Packet) {
		if err := p.stream.WritePacketRTP(m, packet); err != nil {
			log.Printf("%s: %v", p.path, err)
		}
	})
	return answer(base.StatusOK), nil
}

func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	p, ok := ctx.Session.UserData().(*publication)
	if !ok {
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.streams, p.path)
	if p.from != nil {
		log.Printf("%v has published %s", p.from, p.path)
	}
	p.stream.Close()
}
