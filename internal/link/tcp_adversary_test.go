package link_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// frame is a frame of yamux.
func frame(kind byte, flags uint16, stream, length uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(binary.BigEndian.AppendUint32(b, length), body...)
}

const (
	data, window, ping, goAway = 0, 1, 2, 3
	syn, ack, fin, rst         = 1, 2, 4, 8
)

// rude is a UE with a good certificate that speaks frames of its own.
func (w *world) rude(t *testing.T) (ue *tls.Conn, host *link.Conn) {
	t.Helper()
	w.listenTCP(t)
	c := tls.Client(w.stream(t), w.ue)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.NetConn().Close() })
	host, err := w.tcp.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, host
}

// A UE that breaks the frames' rules loses its connection at once, and nothing else
// happens.
func TestBadFrames(t *testing.T) {
	many := func() (b []byte) {
		for id := range uint32(4097) {
			b = append(b, frame(window, syn, 2*id+1, 0)...)
		}
		return b
	}
	tests := []struct {
		name  string
		bytes []byte
		lives bool
	}{
		{"another version", append([]byte{1}, frame(window, syn, 1, 0)[1:]...), false},
		{"a frame of no kind", frame(9, 0, 0, 0), false},
		{"more than a stream's window", append(frame(window, syn, 1, 0), frame(data, 0, 1, 3<<20)...), false},
		{"four gigabytes", append(frame(window, syn, 1, 0), frame(data, 0, 1, 1<<32-1)...), false},
		{"a stream twice", append(frame(window, syn, 1, 0), frame(window, syn, 1, 0)...), false},
		{"a host's stream", frame(window, syn, 2, 0), false},
		{"one stream too many", many(), false},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: edge\r\n\r\n"), false},
		{"a goodbye", frame(goAway, 0, 0, 0), false},

		{"bytes of no stream", frame(data, 0, 77, 3, 1, 2, 3), true},
		{"the end of no stream", frame(window, fin|rst|ack, 77, 0), true},
		{"an answer to no ping", frame(ping, ack, 0, 7), true},
		{"a window that overflows", append(frame(window, syn, 1, 1<<32-1), frame(window, 0, 1, 1<<32-1)...), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ue, host := w.rude(t)
				go io.Copy(io.Discard, ue)
				ue.Write(tt.bytes)
				time.Sleep(time.Second)
				if err := host.Err(); (err == nil) != tt.lives {
					t.Errorf("after a second the connection has ended with %v; want it alive: %v", err, tt.lives)
				} else {
					t.Log(err)
				}
			})
		})
	}
}

// Streams that end as soon as they begin do not add up.
func TestStreamsThatEndAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.rude(t)
		go io.Copy(io.Discard, ue)
		go func() {
			for id := range uint32(20000) {
				if _, err := ue.Write(append(frame(data, syn, 2*id+1, 1, 7), frame(window, rst, 2*id+1, 0)...)); err != nil {
					return
				}
			}
		}()
		for range 1000 { // a host that accepts slowly
			if _, err := host.Accept(t.Context()); err != nil {
				t.Logf("ended: %v", err)
				break
			}
		}
		synctest.Wait()
		if grew := heap(); grew > 64<<20 {
			t.Errorf("%d MB in use", grew>>20)
		}
	})
}

// What a UE sends and nobody reads is bounded over all of its streams, and what is
// read makes room.
func TestUnreadIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.dialTCP(t)
		base := heap()
		const streams = 50
		gate := make(chan struct{})
		var reads sync.WaitGroup
		go func() {
			for range streams {
				in, err := host.Accept(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				reads.Go(func() {
					<-gate
					if b, err := io.ReadAll(in); err != nil || len(b) != 1<<20 {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				})
			}
		}()
		var here []link.Stream
		for range streams {
			st, err := ue.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			here = append(here, st)
		}
		var sent sync.WaitGroup
		for _, st := range here {
			sent.Go(func() {
				st.Write(make([]byte, 1<<20))
				st.Close()
			})
		}
		time.Sleep(time.Second)
		if grew := heap() - base - streams<<20; grew > 48<<20 { // what is to be sent is the test's own
			t.Errorf("%d MB in use", grew>>20)
		}
		close(gate)
		sent.Wait()
		time.Sleep(time.Second)
		reads.Wait()
		if err := host.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	})
}

// A UE that fills its streams and has none of them read loses the connection.
func TestUnreadForGood(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.dialTCP(t)
		var here []link.Stream
		for range 100 {
			st, err := ue.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			here = append(here, st)
		}
		go func() { // or their windows do not grow beyond the first 256 KB
			for range here {
				host.Accept(t.Context())
			}
		}()
		for _, st := range here {
			go st.Write(make([]byte, 1<<20))
		}
		begin := time.Now()
		<-host.Done()
		if took := time.Since(begin); !errors.Is(host.Err(), link.ErrNoAnswer) || took > 8*time.Second {
			t.Errorf("ended with %v after %v, want ErrNoAnswer within 8s", host.Err(), took)
		}
	})
}

// deaf returns a host's connection to a UE that reads nothing, and a stream of it with a large
// window.
func (w *world) deaf(t *testing.T) (host *link.Conn, st link.Stream) {
	t.Helper()
	ue, host := w.rude(t)
	ue.Write(frame(data, syn, 1, 1, 7))
	ue.Write(frame(window, 0, 1, 64<<20))
	st, err := host.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return host, st
}

// A UE that reads nothing ends what the host writes to it.
func TestUEThatNeverReads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		host, st := w.deaf(t)
		st.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := st.Write(make([]byte, 32<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v, want its deadline", err)
		}
		begin := time.Now()
		<-host.Done()
		if took := time.Since(begin); !errors.Is(host.Err(), link.ErrNoAnswer) || took > 5*time.Second {
			t.Errorf("ended with %v after %v, want ErrNoAnswer within 5s", host.Err(), took)
		}
	})
}

// Closing a connection whose peer reads nothing takes a moment, not a timeout.
func TestCloseOfOneThatNeverReads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		host, st := w.deaf(t)
		go st.Write(make([]byte, 32<<20))
		synctest.Wait()
		begin := time.Now()
		host.Close("enough")
		if took := time.Since(begin); took > time.Second/4 {
			t.Errorf("Close took %v", took)
		}
	})
}

// Connections that do not prove who they are end after 3 s, and are few.
func TestHalfOpenConnections(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listenTCP(t)
		var open []net.Conn
		for range 64 {
			open = append(open, w.stream(t))
		}
		further := w.stream(t)
		if _, err := further.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection 65 of one address: %v, want its end", err)
		}
		open[0].Write([]byte{0x16, 3, 1}) // the begin of a ClientHello, slowly
		begin := time.Now()
		for _, c := range open {
			c.Read(make([]byte, 1))
		}
		if took := time.Since(begin); took > 3100*time.Millisecond {
			t.Errorf("they ended after %v, want 3s", took)
		}
		if ue, err := link.DialTCP(t.Context(), w.stream(t), hostAddr, w.ue); err != nil {
			t.Errorf("a UE that comes then: %v", err)
		} else {
			ue.Close("")
		}
	})
}

// FuzzFrames feeds a host what a UE with a good certificate may send.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame(data, syn, 1, 3, 1, 2, 3), frame(window, fin, 1, 0)...))
	f.Add(append(frame(window, syn, 1, 1<<20), frame(data, rst, 1, 4)...))
	f.Add(append(frame(ping, syn, 0, 9), frame(goAway, 0, 0, 2)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		inWorld(t, func(t *testing.T, w *world) {
			ue, host := w.rude(t)
			go io.Copy(io.Discard, ue)
			ue.Write(b)
			ue.NetConn().Close()
			for {
				st, err := host.Accept(t.Context())
				if err != nil {
					break
				}
				io.Copy(io.Discard, st)
				st.Write([]byte("answer"))
				st.CloseRead()
				st.Close()
			}
			<-host.Done()
		})
	})
}
