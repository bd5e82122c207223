//go:build cgo && opencv

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// An rtspServer is a camera that speaks RTSP (RFC 2326) and sends H.264 by RTP (RFC 6184) over the same
// connection. It sends its video once a connection, and then hangs up.
type rtspServer struct {
	net.Listener
	units [][]byte // of the video's stream: NAL units
	plays atomic.Int64
}

func newRTSPServer(t *testing.T, stream []byte) *rtspServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rtspServer{Listener: l}
	for _, unit := range bytes.Split(stream, []byte{0, 0, 1}) {
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			s.units = append(s.units, unit)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s
}

// serve answers the requests of a connection, until the video is sent.
func (s *rtspServer) serve(c net.Conn) {
	defer c.Close()
	r := textproto.NewReader(bufio.NewReader(c))
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		header, err := r.ReadMIMEHeader()
		if err != nil {
			return
		}
		method, _, _ := strings.Cut(line, " ")
		more, body := "", ""
		switch method {
		case "OPTIONS":
			more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
		case "DESCRIBE":
			body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
			more = "Content-Type: application/sdp\r\n"
		case "SETUP":
			more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
		case "PLAY":
			more = "Session: 1\r\n"
		}
		fmt.Fprintf(c, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%sContent-Length: %d\r\n\r\n%s", header.Get("CSeq"), more, len(body), body)
		if method == "PLAY" {
			s.plays.Add(1)
			s.play(c)
			return
		}
	}
}

// play sends all units, 25 pictures a second of the stream's own time, as fast as they are taken.
func (s *rtspServer) play(c net.Conn) {
	at := uint32(0)
	for n, unit := range s.units {
		const slice, key = 1, 5
		kind := unit[0] & 31
		packet := []byte{0x80, 96, byte(n >> 8), byte(n)}
		if kind == slice || kind == key {
			packet[1] |= 0x80 // the last packet of a picture
		}
		packet = binary.BigEndian.AppendUint32(packet, at)
		packet = append(binary.BigEndian.AppendUint32(packet, 1), unit...)
		frame := binary.BigEndian.AppendUint16([]byte{'$', 0}, uint16(len(packet)))
		if _, err := c.Write(append(frame, packet...)); err != nil {
			return
		}
		if kind == slice || kind == key {
			at += 90000 / 25
		}
	}
}

// An RTSP camera that hangs up is connected to again.
func TestRTSPCamera(t *testing.T) {
	dir := t.TempDir()
	makeVideoOf(t, dir, "raw.h264", "-c:v libx264 -bf 0 -x264-params slices=1")
	stream, err := os.ReadFile(filepath.Join(dir, "raw.h264"))
	if err != nil {
		t.Fatal(err)
	}
	s := newRTSPServer(t, stream)
	c, err := openCamera(t.Context(), "rtsp://"+s.Addr().String()+"/camera", false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for s.plays.Load() < 3 {
		if err := c.next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c.mat.Cols() != 160 || c.mat.Rows() != 90 {
		t.Errorf("frames of %dx%d; want 160x90", c.mat.Cols(), c.mat.Rows())
	}
}
