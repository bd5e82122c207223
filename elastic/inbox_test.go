package elastic

import (
	"testing"
	"testing/synctest"
	"time"
)

// The first result of a message tells of those without one before it, and the others do not.
func TestSkippedIsCountedOnce(t *testing.T) {
	var i inbox[int]
	i.put(&Result[int]{Seq: 4, Skipped: 3}, []int{10, 11}, errGoexit)
	for k, want := range []uint64{3, 0, 0} {
		if r, _ := i.pop(); r.Skipped != want {
			t.Errorf("result %d of a message after 3 without one says that %d were skipped, want %d", k, r.Skipped, want)
		}
	}
}

// A message whose results are dropped counts as skipped, with those that it counts itself,
// at the next result. One of which Recv has returned a part does not.
func TestDropOldest(t *testing.T) {
	tests := []struct {
		name              string
		receive, waits    int // results that Recv returns before; messages with results that wait after
		dropped, atOldest uint64
	}{
		{"nothing received", 0, 2, 1, 3},
		{"a part received", 1, 2, 0, 0}, // the part told of the two before
		{"nothing received, and the last one", 0, 1, 1, 3},
		{"a part received, and the last one", 1, 1, 0, 0},
	}
	for _, tt := range tests {
		var i inbox[int]
		i.put(&Result[int]{Seq: 3, Skipped: 2}, []int{30, 31, 32}, nil)
		if tt.waits > 1 {
			i.put(&Result[int]{Seq: 4}, []int{40}, nil)
		}
		for range tt.receive {
			r, _ := i.pop()
			i.read = r.Seq
		}
		last := &Result[int]{Seq: 9}
		dropped := i.dropOldest(last)
		if i.len() > 0 {
			last = i.first()
		}
		if dropped != tt.dropped || last.Skipped != tt.atOldest || i.len() != tt.waits-1 {
			t.Errorf("%s: dropped %d, and message %d says that %d were skipped, with %d results left; want %d, %d and %d",
				tt.name, dropped, last.Seq, last.Skipped, i.len(), tt.dropped, tt.atOldest, tt.waits-1)
		}
	}
}

// Results that may exceed the window make room: a host that waited for it is not late before.
func TestExceedMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := inbox[int]{window: 1}
		if i.exceed(); !i.roomy.IsZero() {
			t.Error("there was room before, and it says that there was none")
		}
		i.unbounded--
		i.put(&Result[int]{Seq: 1}, []int{1}, nil)
		time.Sleep(time.Second)
		if i.exceed(); i.roomy != time.Now() || i.full() {
			t.Errorf("room since %v, full %t; want it since now", i.roomy, i.full())
		}
	})
}
