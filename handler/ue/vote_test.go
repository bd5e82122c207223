package ue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

// A voter answers each call with its payload, or not at all.
type voter struct {
	name, payload string
	status        abi.Status
	err           error
}

func (v voter) Call(context.Context, *offload.Desc, []byte) (*route.Reply, error) {
	if v.err != nil {
		return nil, v.err
	}
	r := route.NewReply()
	r.Host, r.Status, r.Payload, r.BytesUp, r.BytesDown = v.name, v.status, append(r.Payload, v.payload...), 1, 2
	return r, nil
}

func TestVote(t *testing.T) {
	lost := &offload.CallError{Fate: offload.Unknown, Err: errors.New("lost")}
	away := &offload.CallError{Fate: offload.NotStarted, Err: errors.New("not connected")}
	tests := []struct {
		name    string
		why     string
		voters  []voter
		payload string // "": none
		fate    offload.Fate
		named   []string // in the report or in the error
	}{
		{"two agree", "the usual case", []voter{{name: "a", payload: "x"}, {name: "b", payload: "x"}}, "x", 0, nil},
		{"one of two lies", "a fault is found, not outvoted", []voter{{name: "a", payload: "x"}, {name: "b", payload: "y"}}, "", offload.Ended, []string{"a", "b"}},
		{"one of three lies", "it is outvoted and named", []voter{{name: "a", payload: "x"}, {name: "b", payload: "z"}, {name: "c", payload: "x"}}, "x", 0, []string{"b"}},
		{"three answers", "none has a majority", []voter{{name: "a", payload: "x"}, {name: "b", payload: "y"}, {name: "c", payload: "z"}}, "", offload.Ended, []string{"a", "b", "c"}},
		{"another status", "an error with the bytes of a result is another answer", []voter{{name: "a", payload: "x"}, {name: "b", payload: "x", status: abi.Error}}, "", offload.Ended, []string{"b"}},
		{"one of three is lost", "two are a majority of three", []voter{{name: "a", payload: "x"}, {name: "b", err: lost}, {name: "c", payload: "x"}}, "x", 0, nil},
		{"one of two is lost", "one is no majority, and it did run", []voter{{name: "a", payload: "x"}, {name: "b", err: away}}, "", offload.Unknown, []string{"not connected"}},
		{"all are away", "it ran nowhere", []voter{{name: "a", err: away}, {name: "b", err: away}}, "", offload.NotStarted, []string{"not connected"}},
		{"all are lost", "it may have run", []voter{{name: "a", err: away}, {name: "b", err: lost}}, "", offload.Unknown, []string{"lost"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Log(tt.why)
			var told string
			var callers []route.Caller
			for _, v := range tt.voters {
				callers = append(callers, v)
			}
			reply, err := vote(t.Context(), &offload.Desc{Name: "f"}, nil, callers, func(s *split) { told += s.Error() })
			var ce *offload.CallError
			switch {
			case tt.payload != "" && (err != nil || string(reply.Payload) != tt.payload):
				t.Fatalf("got %v, %v; want %q", reply, err, tt.payload)
			case tt.payload == "" && (!errors.As(err, &ce) || ce.Fate != tt.fate):
				t.Fatalf("got %v, %v; want a CallError, %v", reply, err, tt.fate)
			}
			for _, name := range tt.named {
				if !strings.Contains(told+fmt.Sprint(err), name) {
					t.Errorf("told %q, error %v; want %q named", told, err, name)
				}
			}
			if dissent := len(tt.named) > 0 && tt.fate == offload.Ended; dissent != (offload.CodeOf(err) == offload.CodeDissent) {
				t.Errorf("%v has code %v", err, offload.CodeOf(err))
			}
		})
	}
}

// A host that flips one bit of any answer is caught and named.
func TestVoteCatchesEachBit(t *testing.T) {
	answer := []byte{0x12, 0x34, 0x56}
	for bit := range 8 * len(answer) {
		wrong := slices.Clone(answer)
		wrong[bit/8] ^= 1 << (bit % 8)
		var told *split
		var callers []route.Caller
		for i, payload := range [][]byte{answer, wrong, answer} {
			callers = append(callers, voter{name: string(rune('a' + i)), payload: string(payload)})
		}
		reply, err := vote(t.Context(), &offload.Desc{}, nil, callers, func(s *split) { told = s })
		if err != nil || string(reply.Payload) != string(answer) {
			t.Fatalf("bit %d: %v, %v", bit, reply, err)
		}
		if len(told.others) != 1 || !slices.Equal(told.others[0], []string{"b"}) {
			t.Fatalf("bit %d: told %+v; want b named", bit, told)
		}
	}
}
