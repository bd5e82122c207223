package bench

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// answered is the answers of a far endpoint that handles messages 1 to n.
func answered(n uint64) []marked.Answer {
	all := []marked.Answer{{}}
	for seq := uint64(1); seq <= n; seq++ {
		all = append(all, marked.Answer{Count: seq, Chain: marked.Step(all[seq-1].Chain, seq, 0)})
	}
	return all
}

func TestChecker(t *testing.T) {
	good := answered(5)
	type result struct {
		seq, skipped uint64
		a            marked.Answer
	}
	tests := []struct {
		why                  string
		ordered              bool
		results              []result
		lost, doubled, wrong int
	}{
		{"all in their turn", true, []result{{1, 0, good[1]}, {2, 0, good[2]}, {3, 0, good[3]}}, 0, 0, 0},
		{"two are missing", true, []result{{1, 0, good[1]}, {4, 0, good[4]}}, 2, 0, 0},
		{"one comes twice", true, []result{{1, 0, good[1]}, {1, 0, good[1]}, {2, 0, good[2]}}, 0, 1, 0},
		{"one comes late", true, []result{{2, 0, good[2]}, {1, 0, good[1]}}, 1, 1, 0},
		{"the state has seen a message twice", true, []result{{1, 0, good[1]}, {2, 0, marked.Answer{Count: 3, Chain: good[2].Chain}}}, 0, 0, 1},
		{"the state has seen another message, once", true, []result{{1, 0, marked.Answer{Count: 1, Chain: 7}}, {2, 0, marked.Answer{Count: 2, Chain: marked.Step(7, 2, 0)}}}, 0, 0, 1},
		{"skipped as announced", false, []result{{1, 0, marked.Answer{}}, {4, 2, marked.Answer{}}}, 0, 0, 0},
		{"skipped and not announced", false, []result{{1, 0, marked.Answer{}}, {4, 1, marked.Answer{}}}, 1, 0, 0},
	}
	for _, tt := range tests {
		c := checker{ordered: tt.ordered}
		for _, r := range tt.results {
			c.see(elastic.Result[marked.Answer]{Seq: r.seq, Skipped: r.skipped, Value: r.a})
		}
		if c.lost != tt.lost || c.doubled != tt.doubled || c.wrong != tt.wrong {
			t.Errorf("%s: results %+v: lost %d, doubled %d, wrong %d; want %d, %d, %d",
				tt.why, tt.results, c.lost, c.doubled, c.wrong, tt.lost, tt.doubled, tt.wrong)
		}
		if (c.err() == nil) != (tt.lost+tt.doubled+tt.wrong == 0) {
			t.Errorf("%s: err %v", tt.why, c.err())
		}
	}
}

// A message that failed has not been seen by the state.
func TestCheckerOfAFailure(t *testing.T) {
	first := marked.Step(0, 1, 0)
	c := checker{ordered: true}
	c.see(elastic.Result[marked.Answer]{Seq: 1, Value: marked.Answer{Count: 1, Chain: first}})
	c.see(elastic.Result[marked.Answer]{Seq: 2, Err: io.ErrUnexpectedEOF})
	c.see(elastic.Result[marked.Answer]{Seq: 3, Value: marked.Answer{Count: 2, Chain: marked.Step(first, 3, 0)}})
	if c.failed != 1 || c.lost+c.doubled+c.wrong != 0 || !errors.Is(c.err(), io.ErrUnexpectedEOF) {
		t.Errorf("%+v, %v; want one failure", c, c.err())
	}
}

func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := newPacer(100)
		for i, want := range []time.Duration{0, 10, 20} {
			if got := p.next().Sub(begin); got != want*time.Millisecond {
				t.Errorf("message %d is due after %v, want %v", i, got, want*time.Millisecond)
			}
		}
		time.Sleep(25 * time.Millisecond) // the message's answer was slow
		for _, want := range []time.Duration{30, 40, 50} {
			if got := p.next().Sub(begin); got != want*time.Millisecond {
				t.Errorf("after a wait: due after %v, want %v", got, want*time.Millisecond)
			}
		}
	})
}

func TestMeasuredAdds(t *testing.T) {
	var m measured
	m.add(measured{Micros: []float64{1000, 3000}, PerSecond: 2, Allocs: 10, Congestion: "reno"})
	m.add(measured{})
	m.add(measured{Micros: []float64{5000, 7000}, PerSecond: 1, Allocs: 20, Congestion: "reno", asked: 6})
	if m.PerSecond != 4./3 || m.Allocs != 15 || m.quantile(0.5) != 5 || m.quantile(1) != 7 || m.Congestion != "reno" {
		t.Errorf("%+v; want 4 requests in 3 s, 15 objects each, p50 5 ms, p100 7 ms", m)
	}
	if got := m.within(3 * time.Millisecond); got != 2./6 {
		t.Errorf("%g of 6 requests within 3 ms, want a third", got)
	}
}
