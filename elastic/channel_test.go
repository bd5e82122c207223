package elastic_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// expect receives n results and compares them with the sequential reference.
func expect(t *testing.T, c *elastic.Channel[int64, int64], want *int64, from, n int64) {
	t.Helper()
	for i := from; i < from+n; i++ {
		r, err := c.Recv(t.Context())
		if err != nil {
			t.Fatalf("receive %d: %v", i, err)
		}
		*want = *want*31 + i
		if r.Seq != uint64(i) || r.Value != *want || r.Err != nil {
			t.Fatalf("result %d: got %+v, want value %d", i, r, *want)
		}
	}
}

func send(t *testing.T, c *elastic.Channel[int64, int64], from, n int64) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if err := c.Send(t.Context(), i); err != nil {
			t.Errorf("send %d: %v", i, err)
			return
		}
	}
}

// await returns a channel that is closed once an event of kind has happened.
func await(t *testing.T, c *elastic.Channel[int64, int64], kind elastic.Kind) <-chan struct{} {
	happened := make(chan struct{})
	events := c.Events(t.Context())
	go func() {
		for e := range events {
			if e.Kind == kind {
				close(happened)
				return
			}
		}
	}()
	return happened
}

func open(t *testing.T, ep *codegen.Endpoint[int64, int64], cfg elastic.Config) *elastic.Channel[int64, int64] {
	t.Helper()
	c, err := elastic.Open(ep, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestMovesKeepStateAndOrder(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		inBoth(t, func(t *testing.T, w *world) {
			ep := sums(idempotent)
			serve := func() (far.Endpoint, error) { return native.New(ep), nil }
			a, b := w.host("a", serve), w.host("b", serve)
			c := open(t, ep, elastic.Config{})
			var want int64
			next := int64(1)
			for i, to := range []elastic.Target{nil, a, b, nil, b, a, nil} {
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					send(t, c, next, 200)
				}()
				moved := make(chan error)
				go func() { moved <- c.Move(t.Context(), to) }()
				expect(t, c, &want, next, 200)
				<-sent
				if err := <-moved; err != nil {
					t.Fatalf("move %d: %v", i, err)
				}
				next += 200
			}
			if s := c.Stats(); s.Moves != 6 || s.Sent != 1400 || s.Delivered != 1400 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

func TestLostHostIsReplacedByStandby(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		serve := func() (far.Endpoint, error) { return native.New(ep), nil }
		a, b := w.host("a", serve), w.host("b", serve)
		c := open(t, ep, elastic.Config{Standby: []elastic.Target{a, b}, CheckpointMessages: 10, Deadline: 50 * time.Millisecond})
		ready := await(t, c, elastic.StandbyReady)
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		<-ready
		var want int64
		go send(t, c, 1, 300)
		expect(t, c, &want, 1, 100)
		go a.stop()
		expect(t, c, &want, 101, 200)
		if c.Where() != "b" {
			t.Errorf("the channel is at %q, want b: %+v", c.Where(), c.Stats())
		}
		go b.stop()
		go send(t, c, 301, 100)
		expect(t, c, &want, 301, 100)
		if s := c.Stats(); c.Where() != "" || s.Fallbacks != 2 {
			t.Errorf("the channel is at %q, want the UE: %+v", c.Where(), s)
		}
	})
}

func TestSilentHostIsLeftAtTheDeadline(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		c := open(t, ep, elastic.Config{Deadline: 50 * time.Millisecond})
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		var want int64
		send(t, c, 1, 10)
		expect(t, c, &want, 1, 10)
		w.air.Silence(true)
		begin := time.Now()
		send(t, c, 11, 1)
		expect(t, c, &want, 11, 1)
		if gap := time.Since(begin); gap > 55*time.Millisecond || c.Where() != "" {
			t.Errorf("after %v at %q; want the UE, within the deadline of 50ms and 5ms", gap, c.Where())
		}
		w.air.Silence(false)
	})
}

func TestCrashEndsWhatMustNotRunAgain(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(false)
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		c := open(t, ep, elastic.Config{})
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		var want int64
		send(t, c, 1, 10)
		expect(t, c, &want, 1, 10)
		a.stop()
		if _, err := c.Recv(t.Context()); !errors.Is(err, elastic.ErrLost) {
			t.Errorf("receive after the crash: %v, want ErrLost", err)
		}
		if err := c.Send(t.Context(), 11); !errors.Is(err, elastic.ErrLost) {
			t.Errorf("send after the crash: %v, want ErrLost", err)
		}
	})
}

func TestLatestPassesOverOldMessages(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		c := open(t, ep, elastic.Config{Mode: elastic.Latest, Deadline: 50 * time.Millisecond})
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		send(t, c, 1, 100) // at once: two fly, the last one waits
		var last, skipped uint64
		for last < 100 {
			r, err := c.Recv(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Seq != last+1+r.Skipped {
				t.Errorf("result %d after %d says that %d were skipped", r.Seq, last, r.Skipped)
			}
			last, skipped = r.Seq, skipped+r.Skipped
		}
		// Of the two that fly the second may come first.
		if s := c.Stats(); s.Skipped != skipped || skipped < 97 || skipped > 98 {
			t.Errorf("skipped %d: %+v, want 97 or 98", skipped, s)
		}
		if err := c.Move(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		send(t, c, 101, 1)
		if r, err := c.Recv(t.Context()); err != nil || r.Seq != 101 || r.Host != "" {
			t.Errorf("on the UE: %+v, %v", r, err)
		}
	})
}

// A large message of mode Latest goes in parts, and comes as it was sent.
func TestLargeMessagesGoInParts(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := echo(0)
		ep.New = func() *codegen.Live[[]byte, []byte] {
			return &codegen.Live[[]byte, []byte]{
				Handle:      func(_ context.Context, in []byte, emit func([]byte) error) error { return emit(in) },
				AppendState: func(b []byte) []byte { return b },
				ReadState:   func(*pack.Reader) {},
			}
		}
		ep.ReadIn, ep.ReadOut = (*pack.Reader).Bytes, (*pack.Reader).Bytes
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		c, err := elastic.Open(ep, elastic.Config{Mode: elastic.Latest, Deadline: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for i, size := range []int{1, 16<<10 - 10, 16 << 10, 16<<10 + 1, 100_000, 100_001, 3 << 20} {
			in := make([]byte, size)
			for k := range in {
				in[k] = byte(k*7 + k>>8 + i)
			}
			if err := c.Send(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			r, err := c.Recv(t.Context())
			if err != nil || r.Err != nil || !bytes.Equal(r.Value, in) {
				t.Errorf("%d bytes: %d came back, %v, %v", size, len(r.Value), r.Err, err)
			}
		}
		if s := c.Stats(); s.Skipped != 0 || s.Fallbacks != 0 {
			t.Errorf("%+v: nothing was to be skipped", s)
		}
	})
}

// Poses do not wait behind video on a slow link.
func TestPriority(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := echo(10)
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		w.air.Set(net.IPv4(10, 0, 0, 1), nil, radio.Faults{Rate: 20e6, Queue: 1 << 20})
		video := attachEcho(t, ep, a, elastic.Low)
		go func() {
			for video.Send(t.Context(), make([]byte, 100_000)) == nil {
			}
		}()
		go func() {
			for range video.Results(t.Context()) {
			}
		}()
		mean := func(p elastic.Priority) (d time.Duration) {
			pose := attachEcho(t, ep, a, p)
			defer pose.Close()
			for range 50 {
				begin := time.Now()
				if err := pose.Send(t.Context(), make([]byte, 5000)); err != nil {
					t.Fatal(err)
				}
				if _, err := pose.Recv(t.Context()); err != nil {
					t.Fatal(err)
				}
				d += time.Since(begin) / 50
			}
			return d
		}
		high, low := mean(elastic.High), mean(elastic.Low)
		t.Logf("%v with high priority, %v with the video's", high, low)
		if high >= low {
			t.Errorf("poses took %v with high priority and %v with the video's", high, low)
		}
		video.Close()
	})
}

// attachEcho opens a channel at h.
func attachEcho(t *testing.T, ep *codegen.Endpoint[[]byte, []byte], h *host, p elastic.Priority) *elastic.Channel[[]byte, []byte] {
	t.Helper()
	c, err := elastic.Open(ep, elastic.Config{Priority: p, Window: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Move(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return c
}

func BenchmarkLocal(b *testing.B) {
	c, err := elastic.Open(sums(true), elastic.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Send(ctx, 1); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Recv(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
