package wasi

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// A sub is what a guest waits for.
type sub struct {
	kind     uint8
	clock    uint32 // or the descriptor
	time     uint64
	absolute bool
}

// event is what the guest is told of the sub with that user number.
type event struct {
	user uint64
	err  errno
	kind uint8
}

// poll waits for subs, which have their index as user number.
func (g *guest) poll(subs ...sub) ([]event, error) {
	g.t.Helper()
	in := g.memory[buf:]
	for i, s := range subs {
		b := in[i*subscriptionSize:][:subscriptionSize]
		clear(b)
		binary.LittleEndian.PutUint64(b, uint64(i))
		b[8] = s.kind
		binary.LittleEndian.PutUint32(b[16:], s.clock)
		if s.kind == waitClock {
			binary.LittleEndian.PutUint64(b[24:], s.time)
		}
		if s.absolute {
			b[40] = 1
		}
	}
	// The events go over the subscriptions, as a guest may have it.
	e, err := g.try("poll_oneoff", buf, buf, uint64(len(subs)), at0)
	if err != nil {
		return nil, err
	}
	if e != 0 {
		return nil, e
	}
	var events []event
	for i := range g.u32(at0) {
		b := in[i*eventSize:]
		events = append(events, event{binary.LittleEndian.Uint64(b), errno(binary.LittleEndian.Uint16(b[8:])), b[10]})
	}
	return events, nil
}

// time reads a clock.
func (g *guest) time(id uint64) uint64 {
	g.t.Helper()
	g.must("clock_time_get", id, 1, at0)
	return g.u64(at0)
}

// sleep sleeps.
func (g *guest) sleep(d time.Duration) error {
	g.t.Helper()
	_, err := g.poll(sub{clock: clockMonotonic, time: uint64(d)})
	return err
}

// Two instances find the same made-up world, whatever the real time is.
func TestMadeUpClock(t *testing.T) {
	run := func(g *guest) (times []uint64) {
		times = append(times, g.time(0), g.time(1), g.time(0))
		if err := g.sleep(time.Hour); err != nil {
			t.Fatal(err)
		}
		g.must("clock_res_get", 0, at0)
		return append(times, g.time(1), g.time(0), g.u64(at0))
	}
	m, err := Functions(Config{})
	if err != nil {
		t.Fatal(err)
	}
	first := run(start(t, m))
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for i, got := range run(start(t, m)) {
			if got != first[i] {
				t.Errorf("reading %d: got %d, then %d", i, first[i], got)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("an hour on the made-up clock took %v, want none", took)
		}
	})
	step, zero := uint64(virtualStep), uint64(virtualStart.UnixNano())
	if first[0] != zero+step || first[1] != 2*step || first[2] != zero+3*step {
		t.Errorf("got %v, want a step of %v between readings", first, virtualStep)
	}
	if got := first[3] - first[1]; got < uint64(time.Hour) || got > uint64(time.Hour)+10*step {
		t.Errorf("after an hour's sleep: got %v, want an hour", time.Duration(got))
	}
}

// A guest that sleeps for ever does not make time run backwards.
func TestMadeUpClockEnds(t *testing.T) {
	g := newGuest(t, Config{})
	last := uint64(0)
	for range 5 {
		if err := g.sleep(math.MaxInt64); err != nil {
			t.Fatal(err)
		}
		now := g.time(0)
		if now < last || now > math.MaxInt64 {
			t.Fatalf("got %d after %d", now, last)
		}
		last = now
	}
}

// The real clocks are those of the host.
func TestRealClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{Clock: true})
		began := g.time(1)
		if err := g.sleep(time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(g.time(1) - began); got != time.Minute {
			t.Errorf("after a minute's sleep: got %v", got)
		}
		if got, want := g.time(0), uint64(time.Now().UnixNano()); got != want {
			t.Errorf("wall clock: got %d, want %d", got, want)
		}
	})
	g := newGuest(t, Config{})
	for id := uint64(2); id < 5; id++ {
		if e := g.call("clock_time_get", id, 1, at0); e != eInvalid {
			t.Errorf("clock %d: got %v, want %v", id, e, eInvalid)
		}
	}
}

// A sleep ends with its call, and its core is others' meanwhile.
func TestSleepEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{Clock: true})
		turns := executor.NewTurns(1)
		turn, err := turns.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(executor.WithCall(t.Context(), &executor.Call{Turn: turn}), 50*time.Millisecond)
		defer cancel()
		g.ctx = ctx
		got := make(chan struct{})
		go func() {
			defer close(got)
			other, err := turns.Take(ctx, nil)
			if err != nil {
				t.Errorf("the only core, while its guest sleeps: %v", err)
				return
			}
			other.Done()
		}()
		began := time.Now()
		if err := g.sleep(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("a sleep of 2s under a deadline of 50ms took %v", took)
		}
		<-got
	})
}

// A cancelled call's sleep is over early: the guest sees to the rest.
func TestSleepIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{Clock: true})
		ctx, cancel := context.WithCancel(t.Context())
		g.ctx = ctx
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		if err := g.sleep(time.Hour); err != nil {
			t.Errorf("got %v, want none", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("an hour's sleep cancelled after 1s took %v", took)
		}
	})
}

func TestPoll(t *testing.T) {
	const ms = uint64(time.Millisecond)
	tests := []struct {
		name string
		subs []sub
		took time.Duration
		want []event
		why  string
	}{
		{"one", []sub{{clock: 1, time: 5 * ms}}, 5 * time.Millisecond, []event{{0, 0, 0}}, "a sleep"},
		{"first of two", []sub{{clock: 1, time: 9 * ms}, {clock: 0, time: 5 * ms}}, 5 * time.Millisecond, []event{{1, 0, 0}}, "the first one's alone"},
		{"both", []sub{{clock: 1, time: 5 * ms}, {clock: 0, time: 5 * ms}}, 5 * time.Millisecond, []event{{0, 0, 0}, {1, 0, 0}}, "at one time"},
		{"past", []sub{{clock: 0, time: 5, absolute: true}}, 0, []event{{0, 0, 0}}, "1970 is over"},
		{"unknown clock", []sub{{clock: 9, time: 5 * ms}, {clock: 1, time: 5 * ms}}, 0, []event{{0, eInvalid, 0}}, "an error is an event"},
		{"files", []sub{{clock: 1, time: 5 * ms}, {kind: waitRead, clock: 0}, {kind: waitWrite, clock: 2}, {kind: waitRead, clock: 77}}, 0,
			[]event{{1, 0, 1}, {2, 0, 2}, {3, eBadFD, 1}}, "nothing blocks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuest(t, Config{Clock: true})
				began := time.Now()
				got, err := g.poll(tt.subs...)
				if err != nil || !equal(got, tt.want) {
					t.Errorf("got %v, %v; want %v: %s", got, err, tt.want, tt.why)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
	t.Run("absolute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGuest(t, Config{Clock: true})
			began := time.Now()
			if _, err := g.poll(sub{clock: 0, time: uint64(began.Add(3 * time.Second).UnixNano()), absolute: true}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("took %v, want 3s", took)
			}
		})
	})
}

func equal(a, b []event) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A guest that polls a file is told how much there is to read.
func TestPollFile(t *testing.T) {
	g := newGuest(t, Config{Folders: []Folder{tempFolder(t, false)}})
	fd := g.opened("a", 0, toRead)
	g.must("fd_seek", fd, 2, 0, at0)
	if _, err := g.poll(sub{kind: waitRead, clock: uint32(fd)}); err != nil {
		t.Fatal(err)
	}
	if got := g.u64(buf + 16); got != 3 {
		t.Errorf("at 2 of 5 bytes: got %d to read, want 3", got)
	}
	if events, err := g.poll(sub{kind: waitRead, clock: 3}, sub{kind: waitRead, clock: 0}); err != nil || len(events) != 2 {
		t.Errorf("a folder and standard input: got %v, %v; want both ready", events, err)
	}
	if flags := g.memory[buf+eventSize+24]; flags != 1 {
		t.Errorf("standard input: got flags %d, want its end told", flags)
	}
}

// sched_yield lets others have the core.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{})
		turns := executor.NewTurns(1)
		turn, err := turns.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.ctx = executor.WithCall(t.Context(), &executor.Call{Turn: turn})
		var ran atomic.Bool
		go func() {
			other, err := turns.Take(context.Background(), nil)
			ran.Store(err == nil)
			other.Done()
		}()
		synctest.Wait()
		g.must("sched_yield")
		if !ran.Load() {
			t.Error("who waited for the core did not get it")
		}
		turn.Done()
	})
}

func TestPollRefuses(t *testing.T) {
	g := newGuest(t, Config{})
	tests := []struct {
		in, out, n uint64
		want       errno
		why        string
	}{
		{buf, buf, 0, eInvalid, "nothing would wake it"},
		{buf, buf, maxSubscriptions + 1, eInvalid, "too many"},
		{buf, buf, 1<<32 - 1, eInvalid, "a length that wraps"},
		{uint64(len(g.memory)) - 40, buf, 1, eFault, "outside"},
		{buf, uint64(len(g.memory)) - 30, 1, eFault, "outside"},
	}
	for _, tt := range tests {
		if e := g.call("poll_oneoff", tt.in, tt.out, tt.n, at0); e != tt.want {
			t.Errorf("%d subscriptions at %d: got %v, want %v: %s", tt.n, tt.in, e, tt.want, tt.why)
		}
	}
	if _, err := g.poll(sub{kind: 7}); err != eInvalid {
		t.Errorf("subscription of kind 7: got %v, want %v", err, eInvalid)
	}
}

// Random numbers are the same in each instance, unless the seed differs or they are real.
func TestRandom(t *testing.T) {
	get := func(cfg Config) []byte {
		g := newGuest(t, cfg)
		g.must("random_get", buf, 5)
		g.must("random_get", buf+5, 2*randomStep-5-bufSize)
		return bytes.Clone(g.memory[buf : buf+bufSize])
	}
	made := get(Config{})
	if !bytes.Equal(made, get(Config{})) {
		t.Error("two instances with one seed: got different numbers")
	}
	if bytes.Equal(made, get(Config{Seed: [32]byte{1}})) {
		t.Error("two seeds: got the same numbers")
	}
	if real := get(Config{Random: true}); bytes.Equal(real, made) || bytes.Equal(real, get(Config{Random: true})) {
		t.Error("real random numbers: got the same twice")
	}
}

// A guest cannot hold its thread past its deadline by asking for much.
func TestRandomEndsWithItsCall(t *testing.T) {
	g := newGuest(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.ctx = ctx
	if _, err := g.try("random_get", 0, uint64(len(g.memory))); !errors.Is(err, context.Canceled) {
		t.Errorf("256 KiB for a cancelled call: got %v, want %v", err, context.Canceled)
	}
	g.must("random_get", 0, 32) // it may end in order
}
