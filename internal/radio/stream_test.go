package radio_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/radio"
)

func tcp(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// streams runs f with both ends of a stream, in virtual time.
func streams(t *testing.T, f func(t *testing.T, air *radio.Air, ue, host net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{OneWay: 10 * time.Millisecond}
		l := air.Listen(tcp(hostAddr))
		defer l.Close()
		accepted := make(chan net.Conn)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		begin := time.Now()
		ue, err := air.Dial(t.Context(), tcp(ueAddr), tcp(hostAddr))
		if took := time.Since(begin); err != nil || took != 20*time.Millisecond {
			t.Fatalf("dial: %v after %v, want a round trip", err, took)
		}
		host := <-accepted
		defer ue.Close()
		defer host.Close()
		f(t, air, ue, host)
	})
}

func TestStreamDelivers(t *testing.T) {
	streams(t, func(t *testing.T, air *radio.Air, ue, host net.Conn) {
		begin := time.Now()
		go func() {
			ue.Write(make([]byte, 1<<20)) // more than has room
			ue.Close()
		}()
		b, err := io.ReadAll(host)
		if err != nil || len(b) != 1<<20 || time.Since(begin) < 10*time.Millisecond {
			t.Errorf("%d bytes after %v, %v; want 1 MiB after 10ms", len(b), time.Since(begin), err)
		}
		time.Sleep(10 * time.Millisecond)
		if _, err := host.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to an end that has closed: %v", err)
		}
	})
}

// What silence holds back arrives afterwards; deadlines pass meanwhile.
func TestStreamWaitsOutSilence(t *testing.T) {
	streams(t, func(t *testing.T, air *radio.Air, ue, host net.Conn) {
		air.Silence(true)
		ue.Write([]byte{7})
		host.SetReadDeadline(time.Now().Add(time.Second))
		b := make([]byte, 1)
		if _, err := host.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read in the silence: %v", err)
		}
		if n, err := io.Copy(ue, endless{}); n == 0 || err == nil {
			t.Errorf("%d bytes written, %v", n, err)
		}
		host.SetReadDeadline(time.Time{})
		air.Silence(false)
		if _, err := host.Read(b); err != nil || b[0] != 7 {
			t.Errorf("after it: %v, %v", b, err)
		}
	})
}

// endless ends when its writer has had no room for 1 s.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func (endless) WriteTo(w io.Writer) (n int64, err error) {
	w.(net.Conn).SetWriteDeadline(time.Now().Add(time.Second))
	for err == nil {
		var k int
		k, err = w.Write(make([]byte, 1000))
		n += int64(k)
	}
	return n, err
}

func TestNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{}
		if _, err := air.Dial(t.Context(), tcp(ueAddr), tcp(hostAddr)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v, want it refused", err)
		}
		air.Silence(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := air.Dial(ctx, tcp(ueAddr), tcp(hostAddr)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial in the silence: %v", err)
		}
	})
}

// A stream holds back what goes in a parted direction, and nothing else.
func TestStreamThatIsParted(t *testing.T) {
	streams(t, func(t *testing.T, air *radio.Air, ue, host net.Conn) {
		air.Part(ueAddr.IP, hostAddr.IP, true)
		time.AfterFunc(time.Second, func() { air.Part(ueAddr.IP, hostAddr.IP, false) })
		begin, b := time.Now(), make([]byte, 1)
		ue.Write(b)
		host.Write(b)
		if _, err := io.ReadFull(ue, b); err != nil || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("the way back took %v, %v", time.Since(begin), err)
		}
		if _, err := io.ReadFull(host, b); err != nil || time.Since(begin) < time.Second {
			t.Errorf("the parted way took %v, %v", time.Since(begin), err)
		}
		air.Part(hostAddr.IP, ueAddr.IP, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if c, err := air.Dial(ctx, tcp(ueAddr), tcp(hostAddr)); err == nil {
			c.Close()
			t.Error("a dial whose answer is lost has succeeded")
		}
	})
}
