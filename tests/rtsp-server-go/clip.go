package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/pion/rtp"
)

// clip is a file in memory, as the samples of its tracks in the order in which they are sent.
type clip struct {
	medias   []*description.Media
	encode   []func(units [][]byte) ([]*rtp.Packet, error) // per media
	samples  []sample
	duration time.Duration // after which it begins again
}

// sample is one picture, or some sound.
type sample struct {
	media   int
	decode  time.Duration // when it is sent
	present time.Duration
	units   [][]byte
}

func ticks90k(t int64) time.Duration { return time.Duration(t) * time.Second / 90000 }

// readClip reads FILE.ts, or FILE.ts+FILE.mulaw where the second file is the sound.
func readClip(names string) (*clip, error) {
	name, sound, _ := strings.Cut(names, "+")
	c := &clip{}
	if err := c.readTS(name, sound == ""); err != nil {
		return nil, err
	}
	if sound != "" {
		if err := c.readG711(sound); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(c.samples, func(a, b sample) int { return int(a.decode - b.decode) })
	return c, nil
}

// add adds a track and tells its number.
func (c *clip) add(kind description.MediaType, f format.Format, encode func([][]byte) ([]*rtp.Packet, error)) int {
	c.medias = append(c.medias, &description.Media{Type: kind, Formats: []format.Format{f}})
	c.encode = append(c.encode, encode)
	return len(c.medias) - 1
}

func (c *clip) readTS(name string, withSound bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := &mpegts.Reader{R: bufio.NewReader(f)}
	if err := r.Initialize(); err != nil {
		return err
	}
	clock := mpegts.TimeDecoder{}
	clock.Initialize()

	var decodes []int64 // of the pictures
	picture := func(media int, pts, dts int64, units [][]byte) {
		pts, dts = clock.Decode(pts), clock.Decode(dts)
		decodes = append(decodes, dts)
		c.samples = append(c.samples, sample{media: media, decode: ticks90k(dts), present: ticks90k(pts), units: units})
	}
	for _, t := range r.Tracks() {
		switch codec := t.Codec.(type) {
		case *mpegts.CodecH264:
			f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
			e, err := f.CreateEncoder()
			if err != nil {
				return err
			}
			media := c.add(description.MediaTypeVideo, f, e.Encode)
			r.OnDataH264(t, func(pts, dts int64, au [][]byte) error {
				for _, unit := range au {
					switch h264.NALUType(unit[0] & 0x1f) {
					case h264.NALUTypeSPS:
						f.SPS = unit
					case h264.NALUTypePPS:
						f.PPS = unit
					}
				}
				picture(media, pts, dts, au)
				return nil
			})
		case *mpegts.CodecH265:
			f := &format.H265{PayloadTyp: 96}
			e, err := f.CreateEncoder()
			if err != nil {
				return err
			}
			media := c.add(description.MediaTypeVideo, f, e.Encode)
			r.OnDataH265(t, func(pts, dts int64, au [][]byte) error {
				for _, unit := range au {
					switch h265.NALUType(unit[0] >> 1 & 0x3f) {
					case h265.NALUType_VPS_NUT:
						f.VPS = unit
					case h265.NALUType_SPS_NUT:
						f.SPS = unit
					case h265.NALUType_PPS_NUT:
						f.PPS = unit
					}
				}
				picture(media, pts, dts, au)
				return nil
			})
		case *mpegts.CodecMPEG4Audio:
			if !withSound {
				continue
			}
			config := codec.Config
			f := &format.MPEG4Audio{PayloadTyp: 97, Config: &config, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
			e, err := f.CreateEncoder()
			if err != nil {
				return err
			}
			media := c.add(description.MediaTypeAudio, f, e.Encode)
			r.OnDataMPEG4Audio(t, func(pts int64, aus [][]byte) error {
				at := ticks90k(clock.Decode(pts))
				for i, au := range aus {
					t := at + time.Duration(i)*1024*time.Second/time.Duration(config.SampleRate)
					c.samples = append(c.samples, sample{media: media, decode: t, present: t, units: [][]byte{au}})
				}
				return nil
			})
		}
	}
	for {
		if err := r.Read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if len(decodes) < 2 {
		return errors.New("has no pictures")
	}
	last := len(decodes) - 1
	c.duration = ticks90k(decodes[last] - decodes[0] + (decodes[last] - decodes[last-1]))

	// Time starts at the first picture. Sound outside of the pictures would overlap with the next round.
	zero := ticks90k(decodes[0])
	kept := c.samples[:0]
	for _, s := range c.samples {
		s.decode -= zero
		s.present -= zero
		if s.decode >= 0 && s.decode < c.duration {
			kept = append(kept, s)
		}
	}
	c.samples = kept
	return nil
}

// readG711 adds sound at 8 kHz, one channel, in packets of 20 ms.
func (c *clip) readG711(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f := &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}
	if filepath.Ext(name) == ".mulaw" {
		f.PayloadTyp, f.MULaw = 0, true
	}
	e, err := f.CreateEncoder()
	if err != nil {
		return err
	}
	media := c.add(description.MediaTypeAudio, f, func(units [][]byte) ([]*rtp.Packet, error) { return e.Encode(units[0]) })
	const step, bytes = 20 * time.Millisecond, 160
	for t := time.Duration(0); t < c.duration && len(data) >= bytes; t += step {
		c.samples = append(c.samples, sample{media: media, decode: t, present: t, units: [][]byte{data[:bytes]}})
		data = data[bytes:]
	}
	return nil
}

func (c *clip) description() *description.Session {
	return &description.Session{Title: "clip", Medias: c.medias}
}

// play sends the clip again and again, each sample when its time has come. It returns only with an error.
func (c *clip) play(stream *gortsplib.ServerStream) error {
	begin := time.Now()
	for round := time.Duration(0); ; round++ {
		offset := round * c.duration
		for _, s := range c.samples {
			at := begin.Add(offset + s.decode)
			time.Sleep(time.Until(at))
			packets, err := c.encode[s.media](s.units)
			if err != nil {
				return fmt.Errorf("packetize: %w", err)
			}
			media := c.medias[s.media]
			// In whole seconds and the rest: nanoseconds times a clock rate overflow after a day.
			t, rate := offset+s.present, int64(media.Formats[0].ClockRate())
			ticks := int64(t/time.Second)*rate + int64(t%time.Second)*rate/int64(time.Second)
			for _, p := range packets {
				p.Timestamp += uint32(ticks)
				if err := stream.WritePacketRTPWithNTP(media, p, at); err != nil {
					return err
				}
			}
		}
	}
}
