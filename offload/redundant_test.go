package offload_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
)

// A voter answers each call with its payload, or not at all.
type voter struct {
	name, payload string
	status        abi.Status
	err           error
	held          *atomic.Int32 // replies not yet released
}

func (v voter) Call(context.Context, *offload.Desc, []byte) (*offload.Reply, error) {
	if v.err != nil {
		return nil, v.err
	}
	v.held.Add(1)
	return &offload.Reply{
		Host: v.name, Status: v.status, Payload: []byte(v.payload), BytesUp: 1, BytesDown: 2,
		Free: func() { v.held.Add(-1) },
	}, nil
}

func TestRedundant(t *testing.T) {
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
			var held atomic.Int32
			var told string
			r := offload.Redundant{Report: func(d offload.Dissent) { told += d.Error() }}
			for _, v := range tt.voters {
				v.held = &held
				r.Fars = append(r.Fars, v)
			}
			reply, err := r.Call(t.Context(), &offload.Desc{Name: "f"}, nil)
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
			if reply != nil {
				reply.Release()
			}
			if n := held.Load(); n != 0 {
				t.Errorf("%d replies are not released", n)
			}
		})
	}
}

// A host that flips one bit of any answer is caught and named.
func TestRedundantCatchesEachBit(t *testing.T) {
	answer := []byte{0x12, 0x34, 0x56}
	for bit := range 8 * len(answer) {
		wrong := slices.Clone(answer)
		wrong[bit/8] ^= 1 << (bit % 8)
		var held atomic.Int32
		var told offload.Dissent
		r := offload.Redundant{Report: func(d offload.Dissent) { told = d }}
		for i, payload := range [][]byte{answer, wrong, answer} {
			r.Fars = append(r.Fars, voter{name: string(rune('a' + i)), payload: string(payload), held: &held})
		}
		reply, err := r.Call(t.Context(), &offload.Desc{}, nil)
		if err != nil || string(reply.Payload) != string(answer) {
			t.Fatalf("bit %d: %v, %v", bit, reply, err)
		}
		if len(told.Others) != 1 || !slices.Equal(told.Others[0], []string{"b"}) {
			t.Fatalf("bit %d: told %+v; want b named", bit, told)
		}
	}
}
