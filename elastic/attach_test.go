package elastic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// A fakeHost is a host, and a stream to it that answers with what it holds, then with
// silence until it is reset.
type fakeHost struct {
	bytes.Buffer
	refuses  error          // what Open returns
	reading  func()         // is called by Read
	writing  func(b []byte) // is called by Write
	reset    chan struct{}
	released int
}

func newFakeHost(answer []byte) *fakeHost {
	return &fakeHost{Buffer: *bytes.NewBuffer(answer), reading: func() {}, writing: func([]byte) {}, reset: make(chan struct{})}
}

func (*fakeHost) Name() string { return "fake" }

func (h *fakeHost) Prepare(context.Context, *offload.Desc) (Host, error) { return h, nil }

func (h *fakeHost) Open(context.Context, Priority) (Stream, error) {
	if h.refuses != nil {
		return nil, h.refuses
	}
	return h, nil
}

func (*fakeHost) Stripes() int { return 1 }

func (*fakeHost) Watch(func()) (stop func()) { return func() {} }

func (h *fakeHost) Release() { h.released++ }

func (h *fakeHost) Read(b []byte) (int, error) {
	h.reading()
	if h.Len() > 0 {
		return h.Buffer.Read(b)
	}
	<-h.reset
	return 0, io.ErrClosedPipe
}

func (h *fakeHost) Write(b []byte) (int, error) {
	h.writing(b)
	return len(b), nil
}

func (*fakeHost) Close() error { return nil }

func (h *fakeHost) Reset() {
	if !h.wasReset() {
		close(h.reset)
	}
}

func (h *fakeHost) wasReset() bool {
	select {
	case <-h.reset:
		return true
	default:
		return false
	}
}

// A host where no attachment comes about is given back once, whatever went wrong: no
// stream, another answer, or the end of the caller's ctx, which resets the stream.
func TestAttachThatFails(t *testing.T) {
	granted := wire.AppendCredit(nil, wire.TypeAttached, wire.Credit{Messages: 1, Bytes: 1})
	refused := errors.New("no more streams")
	tests := []struct {
		name    string
		host    *fakeHost
		refuses error
		ends    bool // ctx ends while the answer is read
	}{
		{"no stream", newFakeHost(nil), refused, false},
		{"another answer", newFakeHost([]byte{byte(wire.TypeOutcome)}), nil, false},
		{"the end of ctx as the answer comes", newFakeHost(granted), nil, true},
		{"the end of ctx and no answer", newFakeHost(nil), nil, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h := tt.host
			h.reset, h.refuses = make(chan struct{}), tt.refuses
			h.reading = func() {
				if tt.ends {
					cancel()
				}
			}
			d := &offload.Desc{Name: "echoes", Module: codegen.NewModule([]byte("echoes"))}
			if a, err := attach(ctx, h, d, Config{}, nil); err == nil {
				t.Errorf("%s: attached %v", tt.name, a.name)
			}
			cancel()
			synctest.Wait()
			if h.released != 1 {
				t.Errorf("%s: the host was given back %d times, want once", tt.name, h.released)
			}
		})
	}
}

// A snapshot ends with its attachment, whatever the host does.
func TestSnapshotEndsWithItsAttachment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHost(nil)
		a := at("a")
		a.host, a.st = h, newFakeHost(nil)
		a.alive, a.die = context.WithCancel(t.Context())
		begin := time.Now()
		time.AfterFunc(time.Second, a.cut)
		if _, err := a.snapshot(t.Context(), 0); err == nil {
			t.Error("a snapshot of an attachment that has ended came")
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the snapshot ended after %v, want 1s: with its attachment", took)
		}
	})
}

// A watched stream is reset when nothing moves, or its ctx ends, and says which. After the
// watch neither does anything.
func TestWatch(t *testing.T) {
	cause := errors.New("the application has no time")
	tests := []struct {
		name  string
		stop  time.Duration // when the watch ends
		end   time.Duration // when ctx does
		reset bool
		want  error
	}{
		{"nothing moves", time.Minute, time.Hour, true, offload.ErrDeadline},
		{"ctx ends", time.Minute, time.Second, true, cause},
		{"the watch ends before both", 2 * time.Second, 3 * time.Second, false, ErrLost},
		{"the watch ends before nothing has moved for 5s", 2 * time.Second, time.Hour, false, ErrLost},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			h := newFakeHost(nil)
			w := watch(ctx, h, stallTimeout)
			ended := make(chan error, 1)
			stop := time.AfterFunc(tt.stop, func() { ended <- w.end(io.ErrClosedPipe) })
			end := time.AfterFunc(tt.end, func() { cancel(cause) })
			select {
			case <-h.reset:
			case <-time.After(2 * time.Minute):
			}
			end.Stop()
			if stop.Stop() {
				ended <- w.end(io.ErrClosedPipe)
			}
			if err := <-ended; h.wasReset() != tt.reset || !errors.Is(err, tt.want) {
				t.Errorf("%s: reset %t, because of %v; want %t, %v", tt.name, h.wasReset(), err, tt.reset, tt.want)
			}
			cancel(nil)
		})
	}
}

// A transfer that is done when its context ends has failed: the stream is about to be reset.
func TestWatchEndsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	w := watch(ctx, newFakeHost(nil), stallTimeout)
	cancel(cause)
	if err := w.end(nil); err != cause {
		t.Errorf("got %v, want %v", err, cause)
	}
}

// What comes and what goes counts as a sign of life.
func TestWatchSeesProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHost(make([]byte, 10))
		w := watch(t.Context(), h, stallTimeout)
		defer w.end(nil)
		for _, move := range []func([]byte) (int, error){w.Read, w.Write} {
			for range 10 {
				time.Sleep(stallTimeout - time.Second)
				if _, err := move(make([]byte, 1)); err != nil || h.wasReset() {
					t.Fatalf("%v, reset %t: a stream that moves on every 4s was given up", err, h.wasReset())
				}
			}
		}
	})
}
