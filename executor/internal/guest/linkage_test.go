package guest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/guest/guesttest"
)

// export returns the exports of a sound guest, with one of them changed by edit.
func exports(edit func(map[string]guest.FuncType)) (all []guest.FuncType) {
	byName := map[string]guest.FuncType{}
	for _, f := range []guest.FuncType{
		{Name: "_initialize"}, {Name: "bungee_abi", Results: "i"},
		{Name: "bungee_buf", Params: "i", Results: "i"}, {Name: "bungee_call", Params: "iiil", Results: "l"},
	} {
		byName[f.Name] = f
	}
	edit(byName)
	for _, f := range byName {
		all = append(all, f)
	}
	return all
}

func TestCheckExports(t *testing.T) {
	type funcs = map[string]guest.FuncType
	tests := []struct {
		why    string
		edit   func(funcs)
		memory bool
		want   string // in the error; empty: none
	}{
		{"all there", func(funcs) {}, true, ""},
		{"more does no harm", func(f funcs) { f["more"] = guest.FuncType{Name: "more", Params: "????"} }, true, ""},
		{"nothing to initialise", func(f funcs) { delete(f, "_initialize") }, true, ""},
		{"_initialize takes nothing", func(f funcs) { f["_initialize"] = guest.FuncType{Name: "_initialize", Params: "i"} }, true, "_initialize()"},
		{"no memory", func(funcs) {}, false, "memory"},
		{"a function is missing", func(f funcs) { delete(f, "bungee_buf") }, true, "bungee_buf(i) i"},
		{"of another type", func(f funcs) { f["bungee_abi"] = guest.FuncType{Name: "bungee_abi", Results: "l"} }, true, "bungee_abi() i"},
		{"all that is missing is named", func(f funcs) { clear(f) }, false, "memory, bungee_abi() i, bungee_buf(i) i, bungee_call(iiil) l"},
	}
	for _, tt := range tests {
		err := guest.CheckExports(exports(tt.edit), tt.memory)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, executor.ErrABI) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("got %v, want one that mentions %q: %s", err, tt.want, tt.why)
		}
	}
}

// hostOf returns one host function, and counts how often it is open.
func hostOf(name string, open *int, f executor.HostFunc) executor.HostFuncs {
	return executor.HostFuncs{Name: name, New: func() ([]executor.HostFunc, func()) {
		*open++
		return []executor.HostFunc{f}, func() { *open-- }
	}}
}

func TestNewLinkageRefuses(t *testing.T) {
	var many []guest.FuncType
	for k := range 100 {
		many = append(many, guest.FuncType{Module: "env", Name: fmt.Sprintf("f%d %s", k, strings.Repeat("x", 1000))})
	}
	tests := []struct {
		why  string
		need guest.Need
		cfg  executor.InstanceConfig
		kind error
		want string
	}{
		{"no such module", guest.Need{Imports: []guest.FuncType{{Module: "env", Name: "f"}}}, executor.InstanceConfig{}, executor.ErrABI, "env.f"},
		{"no such function", guest.Need{Imports: []guest.FuncType{{Module: "bungee", Name: "fly"}}}, executor.InstanceConfig{}, executor.ErrABI, "bungee.fly"},
		{"of another type", guest.Need{Imports: []guest.FuncType{{Module: "bungee", Name: "now", Results: "i"}}}, executor.InstanceConfig{}, executor.ErrABI, "bungee.now() i"},
		{"no function", guest.Need{Imports: []guest.FuncType{{Module: "bungee", Name: "now", Params: "?"}}}, executor.InstanceConfig{}, executor.ErrABI, "bungee.now(?)"},
		{"a hostile module has many", guest.Need{Imports: many}, executor.InstanceConfig{}, executor.ErrABI, "and 96 more"},
		{"memory", guest.Need{Memory: 1<<20 + 1}, executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 20}}, executor.ErrABI, "1048577"},
		{"table", guest.Need{Table: 11}, executor.InstanceConfig{Limits: executor.Limits{Table: 10}}, executor.ErrABI, "11 table elements"},
		{"fuel that nobody counts", guest.Need{}, executor.InstanceConfig{Limits: executor.Limits{Fuel: 1}}, nil, "Source.Meter"},
	}
	for _, tt := range tests {
		open := 0
		tenant := executor.NewTenant("acme", capability.Quota{})
		tt.cfg.Tenant = tenant
		tt.cfg.Host = []executor.HostFuncs{hostOf("x", &open, executor.HostFunc{Name: "f"})}
		_, err := guest.NewLinkage(tt.cfg, tt.need)
		if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %v that mentions %q: %s", err, tt.kind, tt.want, tt.why)
		}
		if err != nil && len(err.Error()) > 8<<10 {
			t.Errorf("the error has %d bytes: %s", len(err.Error()), tt.why)
		}
		if got := tenant.Holding(); open != 0 || got != (executor.Holding{}) {
			t.Errorf("%d sets of host functions open, %+v held: %s", open, got, tt.why)
		}
	}
}

func TestLinkageCall(t *testing.T) {
	broken := errors.New("out of paper")
	tests := []struct {
		why  string
		call func(context.Context, executor.Memory, []uint64) error
		want error
		text string
	}{
		{"well", func(context.Context, executor.Memory, []uint64) error { return nil }, nil, ""},
		{"an error", func(context.Context, executor.Memory, []uint64) error { return broken }, broken, "host function f"},
		{"a panic", func(context.Context, executor.Memory, []uint64) error { panic("paper jam") }, nil, "paper jam"},
		{"a panic of the runtime", func(_ context.Context, _ executor.Memory, stack []uint64) error { stack[9] = 1; return nil }, nil, "index out of range"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			open := 0
			f := executor.HostFunc{Name: "f", Call: func(ctx context.Context, mem executor.Memory, stack []uint64) error {
				time.Sleep(time.Second)
				return tt.call(ctx, mem, stack)
			}}
			link, err := guest.NewLinkage(executor.InstanceConfig{Host: []executor.HostFuncs{hostOf("x", &open, f)}},
				guest.Need{Imports: []guest.FuncType{{Module: "x", Name: "f"}}, Metered: true})
			if err != nil {
				t.Fatal(err)
			}
			raw := &guesttest.Raw{Memory: []byte{0}}
			in, err := guest.New(t.Context(), raw, link)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			raw.OnInvoke = func(uint32, uint32, uint32) (uint64, error) {
				if err := link.Call(0, raw, make([]uint64, 1)); err != nil {
					return 0, link.Trap("stopped", nil, false)
				}
				return guesttest.Reply(0, 1), nil
			}
			_, err = in.Call(t.Context(), 0, nil)
			failed := tt.want != nil || tt.text != ""
			if failed != errors.Is(err, executor.ErrTrap) || tt.want != nil && !errors.Is(err, tt.want) || failed && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v that mentions %q: %s", err, tt.want, tt.text, tt.why)
			}
			if got := in.Last(); got.HostCalls != 1 || got.HostTime != time.Second {
				t.Errorf("got %d host calls that took %v; want one of 1s: %s", got.HostCalls, got.HostTime, tt.why)
			}
		})
	}
}

func TestTrap(t *testing.T) {
	link, err := guest.NewLinkage(executor.InstanceConfig{}, guest.Need{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	tests := []struct {
		stop    error
		refused bool
		want    error
		memory  bool
		why     string
	}{
		{nil, false, executor.ErrTrap, false, "by itself"},
		{nil, true, executor.ErrTrap, true, "by itself, without the memory it wanted"},
		{executor.ErrDeadline, true, executor.ErrDeadline, false, "the host stopped it for another reason"},
		{executor.ErrCanceled, false, executor.ErrCanceled, false, ""},
		{executor.ErrFuel, true, executor.ErrFuel, false, "the host stopped it for another reason"},
	}
	for _, tt := range tests {
		err := link.Trap(strings.Repeat("\x00", 100_000), tt.stop, tt.refused)
		if !errors.Is(err, tt.want) || len(err.Error()) > 16<<10 || strings.Contains(err.Error(), "\x00") {
			t.Errorf("stopped for %v: got an error of %d bytes that is %v: %t; want it bounded and quoted", tt.stop, len(err.Error()), tt.want, errors.Is(err, tt.want))
		}
		if errors.Is(err, executor.ErrMemory) != tt.memory {
			t.Errorf("stopped for %v, refused memory: %t: got %v: %s", tt.stop, tt.refused, err, tt.why)
		}
	}
}

// What an engine says of a trap becomes one line: the cause, and where.
func TestTrapIsOneLine(t *testing.T) {
	link, err := guest.NewLinkage(executor.InstanceConfig{}, guest.Need{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	const deep = "    1:    0x12f - <unknown>!deep\n    2:    0x12f - <unknown>!deep\n"
	tests := []struct {
		message string
		stop    error
		want    string
		why     string
	}{
		{"error while executing at wasm backtrace:\n    0:    0x1c3 - <unknown>!<wasm function 9>\n\nCaused by:\n    wasm trap: wasm `unreachable` instruction executed", nil,
			"guest trapped: \"wasm trap: wasm `unreachable` instruction executed\" in \"<wasm function 9>\"", "wasmtime"},
		{"error while executing at wasm backtrace:\n    0: 0x9 - <unknown>!deep\n" + strings.Repeat(deep, 1000) + "\n\nCaused by:\n    0: memory fault at wasm address 0xfffffff0\n    1: wasm trap: out of bounds memory access", nil,
			"guest trapped: \"memory fault at wasm address 0xfffffff0: wasm trap: out of bounds memory access\" in \"deep\"", "wasmtime, two causes"},
		{"error while executing at wasm backtrace:\n    0:     0x80 - <unknown>!main.spin\n\nCaused by:\n    stopped", executor.ErrDeadline,
			executor.ErrDeadline.Error() + ", in \"main.spin\"", "wasmtime, stopped by the host"},
		{"wasm error: unreachable\nwasm stack trace:\n\t.$9(i32,i32,i32,i64) i64\n\t.main()", nil,
			"guest trapped: \"wasm error: unreachable\" in \".$9(i32,i32,i32,i64) i64\"", "wazero"},
		{"module closed with context deadline exceeded", executor.ErrDeadline, executor.ErrDeadline.Error(), "wazero, stopped by the host"},
		{"stack overflow", nil, "guest trapped at the end of its stack: \"stack overflow\"", "wazero, no stack"},
		{"", nil, "guest trapped: \"\"", "nothing is said"},
	}
	for _, tt := range tests {
		if got := link.Trap(tt.message, tt.stop, false).Error(); got != tt.want {
			t.Errorf("%s: %.300q became %q; want %q", tt.why, tt.message, got, tt.want)
		}
	}
}
