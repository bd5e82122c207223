package check

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// The state goes on from what came of a message that overran.
func TestSequenceBranches(t *testing.T) {
	messages := []message{{seq: 1, outs: 1}, {seq: 2, outs: 2, poison: slow}, {seq: 3, outs: 1}, {seq: 4, outs: 1, poison: hungry}}
	one := state{}.after(messages[0])
	with := one.after(messages[1])
	late := fmt.Errorf("message: %w", offload.ErrDeadline)
	broke := &offload.CallError{Code: offload.CodeOutOfMemory}
	tests := []struct {
		why   string
		gives []elastic.Result[out]
		ok    bool
	}{
		{"it was in time", []elastic.Result[out]{gives(1, 0, one), gives(2, 0, with), gives(2, 1, with), gives(3, 0, with.after(messages[2])), fails4(broke)}, true},
		{"it was late", []elastic.Result[out]{gives(1, 0, one), errs(2, late), gives(3, 0, one.after(messages[2])), fails4(broke)}, true},
		{"it was late, and is in the state", []elastic.Result[out]{gives(1, 0, one), errs(2, late), gives(3, 0, with.after(messages[2]))}, false},
		{"it was in time, and is not in the state", []elastic.Result[out]{gives(1, 0, one), gives(2, 0, with), gives(2, 1, with), gives(3, 0, one.after(messages[2]))}, false},
		{"it is late after its first value", []elastic.Result[out]{gives(1, 0, one), gives(2, 0, with), errs(2, late)}, false},
		{"it has another error", []elastic.Result[out]{gives(1, 0, one), errs(2, errors.New("no"))}, false},
		{"another one is late", []elastic.Result[out]{errs(1, late)}, false},
		{"one that breaks is late", []elastic.Result[out]{gives(1, 0, one), errs(2, late), gives(3, 0, one.after(messages[2])), fails4(late)}, false},
	}
	for _, test := range tests {
		var why string
		q := newOracle(false, func(format string, args ...any) { why = fmt.Sprintf(format, args...) })
		for _, m := range messages {
			q.add(m)
		}
		for _, r := range test.gives {
			q.got(r)
		}
		if ok := why == ""; ok != test.ok || test.ok && !q.done() {
			t.Errorf("%s: %v, done %v: %s", test.why, ok, q.done(), why)
		}
	}
}

func gives(seq uint64, index int, s state) elastic.Result[out] {
	return elastic.Result[out]{Seq: seq, Tag: tagOf(seq), Value: out{seq: seq, index: index, after: s.hash, host: UE}}
}

func errs(seq uint64, err error) elastic.Result[out] {
	return elastic.Result[out]{Seq: seq, Tag: tagOf(seq), Err: err}
}

func fails4(err error) elastic.Result[out] { return errs(4, err) }
