package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pace is how a peer sends, or takes, a frame.
var paces = []struct {
	name  string
	bytes int           // at once
	each  time.Duration // the time between two of them
	stop  int           // after that many bytes it does nothing more
	fails time.Duration // after which the frame is given up; 0: it comes whole
	why   string
}{
	{"at once", 1 << 20, 0, 1 << 20, 0, "nothing is slow"},
	{"slow", writeStep, 4 * time.Second, 1 << 20, 0, "a step comes in time, and all steps do"},
	{"stops", writeStep, time.Second, 2 * writeStep, 2*time.Second + FrameTimeout, "a step has FrameTimeout"},
	{"never begins", writeStep, time.Second, 0, FrameTimeout, "the first one, too"},
	{"trickles", 1 << 10, time.Second, 1 << 20, FrameTimeout, "a little of a step is no step"},
}

// A chunk of 1 MiB goes over a pipe. use does this end's part, and peer moves n bytes at the other.
func testPaces(t *testing.T, use func(near net.Conn) error, peer func(far net.Conn, n int) error) {
	for _, tt := range paces {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				var other sync.WaitGroup
				other.Go(func() {
					var err error
					for done := 0; done < tt.stop && err == nil; done += tt.bytes {
						time.Sleep(tt.each)
						err = peer(far, tt.bytes)
					}
				})
				begin := time.Now()
				err := use(near)
				took := time.Since(begin)
				near.Close()
				other.Wait()
				switch {
				case tt.fails == 0 && err != nil:
					t.Errorf("given up after %v, %v: %s", took, err, tt.why)
				case tt.fails > 0 && (!errors.Is(err, os.ErrDeadlineExceeded) || took != tt.fails):
					t.Errorf("%v after %v, want a missed deadline after %v: %s", err, took, tt.fails, tt.why)
				}
			})
		})
	}
}

func TestReadPaced(t *testing.T) {
	testPaces(t,
		func(near net.Conn) error { return ReadPaced(near, near, make([]byte, 1<<20)) },
		func(far net.Conn, n int) error { _, err := far.Write(make([]byte, n)); return err })
}

func TestSkipPaced(t *testing.T) {
	testPaces(t,
		func(near net.Conn) error { return SkipPaced(near, near, 1<<20) },
		func(far net.Conn, n int) error { _, err := far.Write(make([]byte, n)); return err })
}

func TestWritePaced(t *testing.T) {
	testPaces(t,
		func(near net.Conn) error { return WritePaced(near, make([]byte, 1<<20)) },
		func(far net.Conn, n int) error { _, err := io.ReadFull(far, make([]byte, n)); return err })
}

// A frame that makes each step in time, and never ends, is given up.
func TestPaceOfTheWhole(t *testing.T) {
	begin := time.Now()
	for _, tt := range []struct{ passed, want time.Duration }{
		{0, FrameTimeout},
		{BulkTimeout - FrameTimeout, BulkTimeout},
		{BulkTimeout - time.Second, BulkTimeout},
		{BulkTimeout + time.Second, BulkTimeout},
	} {
		if got := pace(begin, begin.Add(tt.passed)).Sub(begin); got != tt.want {
			t.Errorf("the next step, %v after the frame began, must be done after %v, want %v", tt.passed, got, tt.want)
		}
	}
}

func TestPacedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		sent := bytes.Repeat([]byte("0123456789"), 60_000)
		go func() {
			WritePaced(far, sent)
			WritePaced(far, sent[:10])
			WritePaced(far, nil)
			far.Close()
		}()
		got := make([]byte, len(sent))
		if err := ReadPaced(near, near, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("not what was sent: %v", err)
		}
		if err := SkipPaced(near, near, 5); err != nil {
			t.Errorf("skip: %v", err)
		}
		if err := ReadPaced(near, near, got[:5]); err != nil || string(got[:5]) != "56789" {
			t.Errorf("after 5 bytes were skipped: %q, %v", got[:5], err)
		}
		if err := ReadPaced(near, near, got[:0]); err != nil {
			t.Errorf("no bytes: %v", err)
		}
		if err := ReadPaced(near, near, got[:1]); err != io.ErrUnexpectedEOF {
			t.Errorf("after the end: %v, want %v", err, io.ErrUnexpectedEOF)
		}
	})
}
