package main

import (
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
)

// odd are streams of cameras with which something is wrong: they are described, and no media ever comes.
//
//	jpeg     offers M-JPEG alone
//	silent   offers H.264 and sends nothing
//	reports  offers H.264 and sends nothing but an RTCP sender report every second
func odd(server *gortsplib.Server) (map[string]*gortsplib.ServerStream, error) {
	video := func(f format.Format) *description.Session {
		return &description.Session{Medias: []*description.Media{{Type: description.MediaTypeVideo, Formats: []format.Format{f}}}}
	}
	h264 := func() format.Format { return &format.H264{PayloadTyp: 96, PacketizationMode: 1} }
	streams := map[string]*gortsplib.ServerStream{
		"jpeg":    {Server: server, Desc: video(&format.MJPEG{})},
		"silent":  {Server: server, Desc: video(h264())},
		"reports": {Server: server, Desc: video(h264())},
	}
	for _, s := range streams {
		if err := s.Initialize(); err != nil {
			return nil, err
		}
	}
	go report(streams["reports"])
	return streams, nil
}

// report sends the sender reports of a stream's only media until the stream is closed.
func report(s *gortsplib.ServerStream) {
	media := s.Desc.Medias[0]
	ssrc := s.Stats().Medias[media].Formats[media.Formats[0]].LocalSSRC
	for now := range time.Tick(time.Second) {
		// NTP counts from 1900 (RFC 3550, section 4).
		ntp := uint64(now.Unix()+2208988800) << 32
		if err := s.WritePacketRTCP(media, &rtcp.SenderReport{SSRC: ssrc, NTPTime: ntp, RTPTime: uint32(now.Unix() * 90000)}); err != nil {
			return
		}
	}
}
