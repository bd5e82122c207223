package codegen_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

var errDark = errors.New("too dark")

func init() { offload.RegisterError("codegen_test.dark", errDark) }

// brightness is an elastic function as offloadgen writes one.
var brightness = codegen.Func[[]byte, float64]{
	Desc: offload.Desc{Name: "brightness", Idempotent: true},
	Native: func(_ context.Context, gray []byte) (float64, error) {
		if len(gray) == 0 {
			return 0, errDark
		}
		sum := 0
		for _, p := range gray {
			sum += int(p)
		}
		return float64(sum) / float64(len(gray)), nil
	},
	AppendIn:  pack.AppendBytes,
	ReadIn:    (*pack.Reader).Bytes,
	AppendOut: pack.AppendFloat64,
	ReadOut:   (*pack.Reader).Float64,
}

// edge serves brightness as an edge host does, without the network.
type edge struct {
	err    error
	status abi.Status // of a reply with payload, if that is set
	reply  []byte
}

func (e *edge) Route(*offload.Desc) *route.Way { return &route.Way{Caller: e} }

func (e *edge) Call(ctx context.Context, _ *offload.Desc, frame []byte) (*route.Reply, error) {
	if e.err != nil {
		return nil, e.err
	}
	r := route.NewReply()
	r.Host, r.Status, r.Payload = "edge-1", e.status, e.reply
	if e.reply == nil {
		b := brightness.Serve(ctx, frame[route.Room:], nil)
		r.Status, r.Payload = abi.Status(b[0]), b[1:]
	}
	return r, nil
}

func ExampleFunc() {
	ctx := context.Background()
	var t offload.Trace
	mean, err := brightness.Call(offload.WithTrace(ctx, &t), []byte{10, 20, 30})
	fmt.Printf("%v %v on host %q\n", mean, err, t.Host)

	defer route.Use(route.Use(&edge{})) // the UE offload handler does this
	mean, err = brightness.Call(offload.WithTrace(ctx, &t), []byte{10, 20, 30})
	fmt.Printf("%v %v on host %q\n", mean, err, t.Host)
	// Output:
	// 20 <nil> on host ""
	// 20 <nil> on host "edge-1"
}

func TestErrorKeepsItsIdentity(t *testing.T) {
	e := &edge{}
	defer route.Use(route.Use(e))
	_, err := brightness.Call(t.Context(), nil)
	if err != errDark {
		t.Errorf("got %#v, want errDark", err)
	}
}

func TestFallback(t *testing.T) {
	lost := errors.New("lost")
	call := func(f offload.Fate) error { return &offload.CallError{Func: "f", Host: "h", Fate: f, Err: lost} }
	tests := []struct {
		name       string
		err        error
		idempotent bool
		here       bool
	}{
		{"not started", call(offload.NotStarted), false, true},
		{"unknown", call(offload.Unknown), false, false},
		{"unknown, idempotent", call(offload.Unknown), true, true},
		{"stopped", call(offload.Stopped), false, false},
		{"stopped, idempotent", call(offload.Stopped), true, true},
		{"ended", call(offload.Ended), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer route.Use(route.Use(&edge{err: tt.err}))
			f := brightness
			f.Idempotent = tt.idempotent
			var tr offload.Trace
			got, err := f.Call(offload.WithTrace(t.Context(), &tr), []byte{4})
			if tt.here && (got != 4 || err != nil || !errors.Is(tr.Fallback, lost)) {
				t.Errorf("got %v, %v, fallback because %v; want 4, because lost", got, err, tr.Fallback)
			}
			if !tt.here && !errors.Is(err, lost) {
				t.Errorf("got %v, want the call's error", err)
			}
		})
	}
}

// A cancelled caller gets no answer late from here.
func TestCancelledCallerDoesNotFallBack(t *testing.T) {
	defer route.Use(route.Use(&edge{err: &offload.CallError{Fate: offload.NotStarted, Err: context.Canceled}}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := brightness.Call(ctx, []byte{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestRepliesThatAreNone(t *testing.T) {
	tests := []struct {
		name   string
		status abi.Status
		reply  []byte
		code   offload.Code
	}{
		{"not a float", abi.OK, []byte{0xc1}, offload.CodeProtocol},
		{"trailing bytes", abi.OK, append(pack.AppendFloat64(nil, 1), 0), offload.CodeProtocol},
		{"empty error", abi.Error, []byte{1}, offload.CodeProtocol},
		{"a value beside no error", abi.Both, append(pack.AppendFloat64(nil, 1), 0xc0), offload.CodeProtocol},
		{"a value alone", abi.Both, pack.AppendFloat64(nil, 1), offload.CodeProtocol},
		{"no room for the reply", abi.Error, abi.AppendError(nil, abi.CodeTooLarge, "reply of 70000000 bytes"), offload.CodeTooLarge},
		{"panic", abi.Panic, []byte("boom"), offload.CodePanicked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer route.Use(route.Use(&edge{status: tt.status, reply: tt.reply}))
			_, err := brightness.Call(t.Context(), []byte{1})
			var ce *offload.CallError
			if !errors.As(err, &ce) || ce.Fate != offload.Ended || ce.Code != tt.code {
				t.Errorf("reply %x gave %v, want a CallError that ended with %v", tt.reply, err, tt.code)
			}
		})
	}
}

func TestServeRefusesBadRequests(t *testing.T) {
	b := brightness.Serve(t.Context(), []byte{0xc1}, nil)
	if len(b) == 0 || abi.Status(b[0]) != abi.Error || !strings.Contains(string(b), "request of brightness") {
		t.Errorf("got %q, want an error that names the function", b)
	}
}
