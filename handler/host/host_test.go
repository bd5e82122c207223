package host_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// echoEngine takes every module that begins as Wasm does; calls answer with
// their request.
var echoEngine = native.Engine{
	Check: func(src executor.Source) error {
		wasm, err := src.Read()
		if err == nil && !bytes.HasPrefix(wasm, []byte("\x00asm")) {
			err = errors.New("not Wasm")
		}
		return err
	},
	Functions: func() []native.Func {
		echo := func(_ context.Context, request, dst []byte) ([]byte, error) {
			return append(append(dst, byte(abi.OK)), request...), nil
		}
		return []native.Func{echo, echo, echo}
	},
}

// dial starts a host and connects to it, in virtual time.
func dial(t *testing.T, f func(t *testing.T, c *link.Conn)) {
	dialEach(t, 1, func(t *testing.T, conns []*link.Conn) { f(t, conns[0]) })
}

// dialEach is dial with n connections of one UE.
func dialEach(t *testing.T, n int, f func(t *testing.T, conns []*link.Conn)) {
	serve(t, host.Config{}, slices.Repeat([]string{"ue"}, n), func(t *testing.T, _ *host.Handler, conns []*link.Conn) { f(t, conns) })
}

// serve starts a host of two modules and, if cfg says nothing else, two channels, and connects UEs with
// certificates of these names to it, in virtual time: over QUIC, and then over TCP.
func serve(t *testing.T, cfg host.Config, ues []string, f func(t *testing.T, h *host.Handler, conns []*link.Conn)) {
	for _, over := range []link.Transport{link.QUIC, link.TCP} {
		t.Run(over.String(), func(t *testing.T) { serveOver(t, over, cfg, ues, f) })
	}
}

func serveOver(t *testing.T, over link.Transport, cfg host.Config, ues []string, f func(t *testing.T, h *host.Handler, conns []*link.Conn)) {
	serveIn(t, &radio.Air{OneWay: time.Millisecond}, over, cfg, ues, f)
}

// serveIn is serveOver with a network of the caller's. The UEs have the address 10.0.0.1.
func serveIn(t *testing.T, air *radio.Air, over link.Transport, cfg host.Config, ues []string, f func(t *testing.T, h *host.Handler, conns []*link.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		if cfg.TLS, err = ca.TLS(identity.Host, "host"); err != nil {
			t.Fatal(err)
		}
		if cfg.Engine == nil {
			cfg.Engine = echoEngine
		}
		cfg.Modules, cfg.Channels = 2, cmp.Or(cfg.Channels, 2)
		h, err := host.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		addr := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}
		served := make(chan error, 1)
		pc := air.Endpoint(addr)
		tcp := &net.TCPAddr{IP: addr.IP, Port: addr.Port}
		h.ServeTCP(air.Listen(tcp))
		go func() { served <- h.Serve(context.Background(), pc) }()
		var conns []*link.Conn
		for i, ue := range ues {
			conf, err := ca.TLS(identity.UE, ue)
			if err != nil {
				t.Fatal(err)
			}
			from := net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1 + i}
			var c *link.Conn
			if over == link.QUIC {
				c, err = link.Dial(t.Context(), air.Endpoint(&from), addr, conf)
			} else {
				var stream net.Conn
				if stream, err = air.Dial(t.Context(), &net.TCPAddr{IP: from.IP, Port: from.Port}, tcp); err != nil {
					t.Fatal(err)
				}
				c, err = link.DialTCP(t.Context(), stream, addr, conf)
			}
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		f(t, h, conns)
		for _, c := range conns {
			c.Close("")
		}
		if err := errors.Join(h.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}

// ask sends b on a stream of its own and returns all that comes back.
func ask(t *testing.T, c *link.Conn, b []byte, end bool) []byte {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Write(b)
	if end {
		st.Close()
	}
	answer, err := io.ReadAll(st)
	if err != nil {
		t.Logf("request %.40x: %v", b, err)
	}
	return answer
}

func wantFail(t *testing.T, what string, answer []byte, code offload.Code) {
	t.Helper()
	r := bytes.NewReader(answer)
	if typ, err := wire.ReadType(r); err != nil || typ != wire.TypeFail {
		t.Errorf("%s: answered with %.40x, want a Fail", what, answer)
		return
	}
	f, err := wire.ReadFail(r)
	if err != nil || f.Code != code || f.Started {
		t.Errorf("%s: %+v, %v; want %q, not started", what, f, err, code)
	}
}

var wasm = []byte("\x00asm and the rest")

func put(wasm []byte) []byte {
	p := wire.Put{Digest: sha256.Sum256(wasm), Size: len(wasm)}
	return append(wire.AppendControl(nil, wire.TypePut, p), wasm...)
}

func TestModuleIsSentOnce(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		have := wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(wasm)})
		for _, step := range []struct {
			request []byte
			ready   bool
		}{{have, false}, {put(wasm), true}, {have, true}} {
			var m wire.Loaded
			if err := wire.ExpectControl(bytes.NewReader(ask(t, c, step.request, true)), wire.TypeLoaded, &m); err != nil || m.Ready != step.ready {
				t.Errorf("request %.8x: %+v, %v; want ready %v", step.request, m, err, step.ready)
			}
		}
	})
}

func TestBadRequests(t *testing.T) {
	digest := sha256.Sum256(wasm)
	tests := []struct {
		name    string
		request []byte
		code    offload.Code
	}{
		{"no such frame", []byte{0x7f}, offload.CodeProtocol},
		{"answer in place of a request", wire.AppendFail(nil, wire.Fail{}), offload.CodeProtocol},
		{"call of an unknown module", wire.AppendCall(nil, wire.Call{Module: [32]byte{9}}), offload.CodeNoModule},
		{"call with a huge request", wire.AppendCall(nil, wire.Call{Module: digest, Size: wire.MaxPayload + 1}), offload.CodeProtocol},
		{"module with another digest", append(wire.AppendControl(nil, wire.TypePut, wire.Put{Size: len(wasm)}), wasm...), offload.CodeBadModule},
		{"module that is none", put([]byte("ELF")), offload.CodeBadModule},
		{"huge module", wire.AppendControl(nil, wire.TypePut, wire.Put{Size: wire.MaxModule + 1}), offload.CodeTooLarge},
		{"module of negative size", wire.AppendControl(nil, wire.TypePut, wire.Put{Size: -1}), offload.CodeTooLarge},
		{"control that is no msgpack", []byte{byte(wire.TypePing), 0, 1, 0xc1}, offload.CodeProtocol},
	}
	dial(t, func(t *testing.T, c *link.Conn) {
		for _, tt := range tests {
			wantFail(t, tt.name, ask(t, c, tt.request, true), tt.code)
		}
		// The connection has not suffered.
		ask(t, c, put(wasm), true)
		call := append(wire.AppendCall(nil, wire.Call{Module: digest, Size: 2}), "hi"...)
		answer := ask(t, c, call, true)
		if !bytes.HasSuffix(answer, []byte("hi")) || wire.Type(answer[0]) != wire.TypeResult {
			t.Errorf("a good call was answered with %x", answer)
		}
	})
}

// A UE that stops in the middle of a frame holds nothing for long.
func TestHalfAFrame(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		begin := time.Now()
		half := wire.AppendCall(nil, wire.Call{Size: 100})[:20]
		ask(t, c, half, false)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the host waited %v for the rest of a frame", took)
		}
	})
}

// module is the i-th of many modules.
func module(i int) []byte { return fmt.Appendf(nil, "\x00asm%d", i) }

// call is a call of function 0 of a module, with request "hi".
func call(wasm []byte) []byte {
	return append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 2}), "hi"...)
}

// callOn makes a call of function 0 of a module on a stream that carries calls.
func callOn(t *testing.T, st link.Stream, wasm []byte) (reply string, fail *wire.Fail) {
	t.Helper()
	st.Write(call(wasm))
	typ, err := wire.ReadType(st)
	if err != nil {
		t.Fatal(err)
	}
	if typ == wire.TypeFail {
		if fail, err = wire.ReadFail(st); err != nil {
			t.Fatal(err)
		}
		return "", fail
	}
	res, err := wire.ReadResult(st)
	if typ != wire.TypeResult || err != nil {
		t.Fatalf("a call was answered with frame 0x%02x, %v", typ, err)
	}
	b, err := wire.ReadPayload(st, nil, res.Size)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

// Calls that follow one another on a stream are calls as any others: one that fails
// ends nothing but itself, and a host that drains starts none.
func TestCallsOnOneStream(t *testing.T) {
	serve(t, host.Config{}, []string{"ue"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ask(t, conns[0], put(wasm), true)
		st, err := conns[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if reply, fail := callOn(t, st, wasm); reply != "hi" || fail != nil {
			t.Errorf("first call: %q, %v; want hi", reply, fail)
		}
		if _, fail := callOn(t, st, module(1)); fail == nil || fail.Code != offload.CodeNoModule {
			t.Errorf("call of an unknown module: %v, want %v", fail, offload.CodeNoModule)
		}
		time.Sleep(time.Hour)
		if reply, fail := callOn(t, st, wasm); reply != "hi" || fail != nil {
			t.Errorf("call after an hour: %q, %v; want hi", reply, fail)
		}
		ended := make(chan error)
		go func() { ended <- h.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		if _, fail := callOn(t, st, wasm); fail == nil || fail.Code != offload.CodeDraining || fail.Started {
			t.Errorf("call of a host that drains: %v, want %v, not started", fail, offload.CodeDraining)
		}
		conns[0].Close("")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A UE that resets a stream gives up the call on it, and the guest's context ends.
func TestResetCancelsTheGuest(t *testing.T) {
	var began, cancelled chan struct{} // made in the bubble of the test
	engine := native.Engine{Functions: func() []native.Func {
		return []native.Func{func(ctx context.Context, _, dst []byte) ([]byte, error) {
			close(began)
			<-ctx.Done()
			close(cancelled)
			return dst, context.Cause(ctx)
		}}
	}}
	serve(t, host.Config{Engine: engine, CallLimit: 24 * time.Hour}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		began, cancelled = make(chan struct{}), make(chan struct{})
		ask(t, conns[0], put(wasm), true)
		st, err := conns[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		st.Write(call(wasm))
		<-began
		st.Reset()
		<-cancelled
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the guest was cancelled %v after the call began, want at once", took)
		}
	})
}

func wantEcho(t *testing.T, what string, answer []byte) {
	t.Helper()
	if len(answer) == 0 || wire.Type(answer[0]) != wire.TypeResult || !bytes.HasSuffix(answer, []byte("hi")) {
		t.Errorf("%s: answered with %.60x, want an echo", what, answer)
	}
}

// A host has room for two modules: the one that was not used for longest goes, unless
// it is in use.
func TestModulesMakeRoom(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		greet(t, c, 7)
		ask(t, c, put(module(0)), true)
		ask(t, c, put(module(1)), true)
		wantEcho(t, "the older one", ask(t, c, call(module(0)), true))
		ask(t, c, put(module(2)), true)
		wantEcho(t, "one that was called since", ask(t, c, call(module(0)), true))
		wantEcho(t, "the new one", ask(t, c, call(module(2)), true))
		wantFail(t, "the one that had to go", ask(t, c, call(module(1)), true), offload.CodeNoModule)
		for i := range uint64(2) {
			if _, fail := attachTo(t, c, i+1, module(2*int(i))); fail != nil {
				t.Fatal(fail)
			}
		}
		wantFail(t, "a module when all are in use", ask(t, c, put(module(3)), true), offload.CodeOverloaded)
		wantEcho(t, "one in use", ask(t, c, call(module(0)), true))
	})
}

func TestSecondHello(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		hello := wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "ue"})
		st, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st.Write(hello)
		var w wire.Welcome
		if err := wire.ExpectControl(st, wire.TypeWelcome, &w); err != nil || w.Name != "edge" || w.Cores < 1 {
			t.Errorf("%+v, %v", w, err)
		}
		wantFail(t, "second hello", ask(t, c, hello, true), offload.CodeProtocol)
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := host.New(host.Config{}); err == nil {
		t.Error("a Config without engine and TLS was accepted")
	}
}
