//go:build cgo && opencv

package main

import (
	"fmt"
	"image"
	"image/color"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"

	"gocv.io/x/gocv"
)

// An mjpegServer is a camera as many are on a network: a picture after the other, as JPEG. The brightness of
// frame n is n, modulo 200.
type mjpegServer struct {
	*httptest.Server
	frames [][]byte
	sent   atomic.Int64
	calls  atomic.Int64
	most   int64 // frames of a connection; then it is dropped

	many chan struct{} // closed when far more frames are sent than all buffers on the way hold
}

// manyFrames are 40 MB of JPEG and more.
const manyFrames = 50_000

func newMJPEGServer(t *testing.T, most int64) *mjpegServer {
	s := &mjpegServer{most: most, many: make(chan struct{})}
	for level := range 200 {
		s.frames = append(s.frames, grey(t, level))
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func (s *mjpegServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	parts := multipart.NewWriter(w)
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+parts.Boundary())
	for range s.most {
		if r.Context().Err() != nil {
			return
		}
		n := s.sent.Add(1)
		if n == manyFrames {
			close(s.many)
		}
		b := s.frames[n%200]
		part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"image/jpeg"}, "Content-Length": {fmt.Sprint(len(b))}})
		if err != nil {
			return
		}
		if _, err := part.Write(b); err != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

// grey returns a JPEG of one brightness.
func grey(t *testing.T, level int) []byte {
	m := gocv.NewMatWithSize(48, 64, gocv.MatTypeCV8UC3)
	defer m.Close()
	gocv.Rectangle(&m, image.Rect(0, 0, 64, 48), color.RGBA{uint8(level), uint8(level), uint8(level), 0}, -1)
	b, err := encode(m, 95)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A camera that drops its connection is connected to again, and the run goes on.
func TestLiveCameraReconnects(t *testing.T) {
	s := newMJPEGServer(t, 30)
	c, err := openCamera(t.Context(), s.URL+"/video.mjpg", false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for s.calls.Load() < 4 {
		if err := c.next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c.mat.Cols() != 64 || c.mat.Rows() != 48 {
		t.Errorf("a frame of %dx%d; want 64x48", c.mat.Cols(), c.mat.Rows())
	}
}

// Who computes slowly gets the newest frame, not the next one in a queue that grows.
func TestLiveCameraGivesTheNewestFrame(t *testing.T) {
	s := newMJPEGServer(t, 1<<40)
	c, err := openCamera(t.Context(), s.URL+"/video.mjpg", false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.next(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.many:
	case <-t.Context().Done():
		t.Fatal("the camera is not read while nobody asks")
	}
	if err := c.next(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLiveCameraThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if _, err := openCamera(t.Context(), "http://"+addr+"/video", false); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("nobody listens: %v; want an error that names the address", err)
	}
	if _, err := openCamera(t.Context(), "99", false); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("camera 99: %v; want an error that names it", err)
	}
}
