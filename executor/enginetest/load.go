package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/bombs"
)

func is(err, target error) bool { return errors.Is(err, target) }

// load checks what Load refuses.
func (s suite) load(t *testing.T) {
	whole := Guest(t, "basic")
	tests := []struct {
		name  string
		why   string
		wasm  []byte
		words []string
	}{
		{"Empty", "an upload that never came", nil, nil},
		{"NotWasm", "any file may be sent", []byte("#!/bin/sh\n"), nil},
		{"Text", "an engine may know the text format; a guest is binary", []byte("(module)"), nil},
		{"HeaderOnly", "valid, but no guest", whole[:8], []string{"memory", "bungee_abi", "bungee_buf", "bungee_call"}},
		{"Truncated", "an upload that broke off", whole[:len(whole)/2], nil},
		{"NoExports", "a module for another host", Guest(t, "noexports"), []string{"bungee_abi", "bungee_buf", "bungee_call", "docs/abi.md"}},
		{"NoMemory", "the host could not write the request", Guest(t, "nomemory"), []string{"memory"}},
		{"WrongType", "a call would be made with wrong arguments", Guest(t, "wrongtype"), []string{"bungee_call(iiil) l"}},
	}
	e := s.engine(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := e.Load(t.Context(), executor.Bytes(tt.wasm))
			if err == nil {
				closed(t, m)
			}
			t.Log(tt.why)
			mentions(t, err, executor.ErrABI, tt.words...)
		})
	}
	t.Run("Bomb", func(t *testing.T) {
		// A few kilobytes that a compiler takes a minute for.
		m, err := e.Load(t.Context(), executor.Bytes(bombs.ManyLocals(10, 2000)))
		if err == nil {
			closed(t, m)
		}
		mentions(t, err, executor.ErrTooLarge, "loops", "at most 64")
	})
	t.Run("SourceError", func(t *testing.T) {
		broken := errors.New("connection lost")
		src := executor.Bytes(Guest(t, "start"))
		src.Wasm = func() ([]byte, error) { return nil, broken }
		m, err := e.Load(t.Context(), src)
		if err == nil {
			closed(t, m)
		}
		mentions(t, err, broken)
		if is(err, executor.ErrABI) {
			t.Errorf("got %v, which blames the module", err)
		}
	})
	t.Run("OtherDigest", func(t *testing.T) {
		src := executor.Bytes(Guest(t, "start"))
		src.Wasm = func() ([]byte, error) { return whole, nil }
		m, err := e.Load(t.Context(), src)
		if err == nil {
			closed(t, m)
			t.Fatal("bytes of another digest: got no error")
		}
		mentions(t, err, err, fmt.Sprintf("%x", src.Digest), fmt.Sprintf("%x", executor.Bytes(whole).Digest))
	})
	t.Run("Tenants", func(t *testing.T) {
		// One module of two tenants, and metered: each is a module of its own.
		for _, tenant := range []string{"", "acme", "other", "acme"} {
			src := executor.Bytes(Guest(t, "basic"))
			src.Tenant, src.Meter = tenant, tenant == "acme"
			m, err := e.Load(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, m)
			in := instance(t, m, executor.InstanceConfig{})
			mustEcho(t, in, tenant)
			if metered := in.Last().Fuel > 0; metered != src.Meter {
				t.Errorf("tenant %q: got %d fuel; metered is %t", tenant, in.Last().Fuel, src.Meter)
			}
			closed(t, in)
		}
	})
	t.Run("ContextOver", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m, err := e.Load(ctx, executor.Bytes(Guest(t, "initspin")))
		if err == nil {
			closed(t, m)
		}
		mentions(t, err, context.Canceled)
	})
	t.Run("NotKept", func(t *testing.T) {
		wasm := append([]byte(nil), whole...)
		m, err := e.Load(t.Context(), executor.Bytes(wasm))
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, m)
		clear(wasm)
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
		if err != nil {
			t.Fatalf("instantiate after the bytes given to Load were overwritten: %v", err)
		}
		defer closed(t, in)
		mustEcho(t, in, "still here")
	})
}

// instantiate checks what Instantiate refuses.
func (s suite) instantiate(t *testing.T) {
	tests := []struct {
		guest string
		why   string
		kind  error
		words []string
	}{
		{"version", "a guest of another time", executor.ErrABI, []string{"99", "build the module again"}},
		{"unknown", "all that is missing is named at once", executor.ErrABI,
			[]string{"env.foo", "nn.warp", "bungee.now", "wasi_snapshot_preview1.fly", "InstanceConfig.Host"}},
		{"otherimports", "a host gives functions only", executor.ErrABI, []string{"env.func", "env.table", "env.global", "env.memory"}},
		{"bigmemory", "1 GiB at the start: none of it may be mapped", executor.ErrABI, []string{"1073741824", fmt.Sprint(executor.DefaultMemory)}},
		{"inittrap", "a guest may trap before its first call", executor.ErrTrap, []string{"initialise"}},
		{"inithungry", "or be out of memory", executor.ErrMemory, []string{"initialise", fmt.Sprint(executor.DefaultMemory)}},
		{"starttrap", "or even earlier", executor.ErrTrap, []string{"initialise"}},
		{"dataoutside", "a segment that does not fit is a trap", executor.ErrTrap, []string{"instantiate"}},
		{"elemoutside", "that of a table, too", executor.ErrTrap, []string{"instantiate"}},
		{"elemempty", "and one that is empty", executor.ErrTrap, []string{"instantiate"}},
	}
	for _, tt := range tests {
		t.Run(tt.guest, func(t *testing.T) {
			m := s.module(t, Guest(t, tt.guest))
			in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
			if err == nil {
				closed(t, in)
			}
			t.Log(tt.why)
			mentions(t, err, tt.kind, tt.words...)
		})
	}
	t.Run("withheld", s.withheld)
	for _, guest := range []string{"initspin", "startspin"} {
		t.Run(guest, func(t *testing.T) {
			m := s.module(t, Guest(t, guest))
			ctx, cancel := context.WithTimeout(t.Context(), spinTime)
			defer cancel()
			in, err := m.Instantiate(ctx, executor.InstanceConfig{})
			if err == nil {
				closed(t, in)
			}
			mentions(t, err, executor.ErrDeadline)
		})
	}
}

// loadAtOnce checks that modules, also the same one, can be loaded and used all at
// once.
func (s suite) loadAtOnce(t *testing.T) {
	e := s.engine(t)
	guests := []string{"basic", "hostile", "start"}
	var wg sync.WaitGroup
	for k := range 9 {
		src := executor.Bytes(Guest(t, guests[k%len(guests)]))
		src.Meter = k%2 == 0
		wg.Go(func() {
			for range 3 {
				if err := useOnce(t.Context(), e, src); err != nil {
					t.Errorf("%s: %v", guests[k%len(guests)], err)
				}
			}
		})
	}
	wg.Wait()
}

// useOnce loads src, calls its function 0, and closes all.
func useOnce(ctx context.Context, e executor.Engine, src executor.Source) error {
	m, err := e.Load(ctx, src)
	if err != nil {
		return err
	}
	in, err := m.Instantiate(ctx, executor.InstanceConfig{})
	if err != nil {
		return errors.Join(err, m.Close())
	}
	_, err = in.Call(ctx, 0, nil)
	return errors.Join(err, in.Close(), m.Close())
}

// withheld checks that a refused import says why it is, once for each module that
// is asked for, and that nothing stays open.
func (s suite) withheld(t *testing.T) {
	why := errors.New("policy.toml:12 grants it to nobody")
	asked, open := map[string]int{}, 0
	cfg := executor.InstanceConfig{
		Host: []executor.HostFuncs{hostModule(&open)},
		Withheld: func(module string) error {
			asked[module]++
			if module == "nn" {
				return why
			}
			return nil
		},
	}
	in, err := s.module(t, Guest(t, "unknown")).Instantiate(t.Context(), cfg)
	if err == nil {
		closed(t, in)
	}
	mentions(t, err, executor.ErrABI, "nn.warp")
	mentions(t, err, why)
	if asked["nn"] != 1 || asked["env"] != 1 {
		t.Errorf("asked for %v; want nn and env, once", asked)
	}
	if open != 0 {
		t.Errorf("%d sets of host functions left open", open)
	}
}
