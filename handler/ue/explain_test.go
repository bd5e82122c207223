package ue_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/explain"
)

// A shelf keeps what is written to it, until it is full.
type shelf struct {
	mu   sync.Mutex
	b    bytes.Buffer
	room int
}

func (s *shelf) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len()+len(b) > s.room {
		return 0, errors.New("no room")
	}
	return s.b.Write(b)
}

// Each decision is in the log, with the view that it was made on, and each call's end.
func TestExplains(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("explained", true)
		w.engine.set(doubler("", true, double).Serve, nil)
		w.startHost(nil)
		s := &shelf{room: 1 << 30}
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Toggle{Every: 10}, Explain: s})
		w.ready(h, &f.Desc)
		const calls = 95
		for n := range int64(calls) {
			f.Call(t.Context(), n)
			time.Sleep(10 * time.Millisecond)
		}
		h.Close()
		var decided, ended [2]int
		number := uint64(0)
		var last time.Duration
		for r, err := range explain.Read(&s.b) {
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case r.Call != nil:
				if r.Call.Number != number || r.Call.Reason != policy.Turn || r.At < last {
					t.Errorf("call %d at %v: %+v", number, r.At, r.Call)
				}
				number++
				last = r.At
				decided[r.Call.Where]++
			case r.End != nil:
				ended[r.End.Where]++
				if want := []time.Duration{work, 2 * oneWay}[r.End.Where]; r.End.Took != want {
					t.Errorf("a call at %s took %v, want %v", r.End.Where, r.End.Took, want)
				}
			case r.Lost > 0:
				t.Errorf("%d are lost", r.Lost)
			}
		}
		if number != calls || decided != ended || decided[policy.OnEdge] != 45 {
			t.Errorf("%d calls, %v decided, %v ended; want %d, 45 of them on the edge", number, decided, ended, calls)
		}
	})
}

// A log that cannot be written ends, and calls go on.
func TestExplainsNoMore(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("full", true)
		h := w.startUEWith(ue.Config{Explain: &shelf{room: 2000}})
		for n := range int64(100) {
			if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
				t.Fatalf("call %d: %d, %v", n, got, err)
			}
		}
		h.Close()
		if h, err := ue.Start(t.Context(), ue.Config{Explain: &shelf{}}); err == nil {
			h.Close()
			t.Error("a handler begins whose log takes nothing")
		}
	})
}
