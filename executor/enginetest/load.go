package enginetest

import (
	"context"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/executor"
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
			m, err := e.Load(t.Context(), tt.wasm)
			if err == nil {
				closed(t, m)
			}
			t.Log(tt.why)
			mentions(t, err, executor.ErrABI, tt.words...)
		})
	}
	t.Run("ContextOver", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m, err := e.Load(ctx, Guest(t, "initspin"))
		if err == nil {
			closed(t, m)
		}
		mentions(t, err, context.Canceled)
	})
	t.Run("NotKept", func(t *testing.T) {
		wasm := append([]byte(nil), whole...)
		m, err := e.Load(t.Context(), wasm)
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
		{"inittrap", "a guest may trap before its first call", executor.ErrTrap, []string{"initialise"}},
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
	t.Run("bigmemory", func(t *testing.T) {
		m := s.module(t, Guest(t, "bigmemory"))
		if in, err := m.Instantiate(t.Context(), executor.InstanceConfig{}); err == nil {
			closed(t, in)
			t.Errorf("512 MiB of memory at the start: got no error, want one under the default limit of %d bytes", executor.DefaultMemoryLimit)
		}
		mustEcho(t, instance(t, s.module(t, Guest(t, "basic")), executor.InstanceConfig{}), "intact")
	})
	t.Run("initspin", func(t *testing.T) {
		m := s.module(t, Guest(t, "initspin"))
		ctx, cancel := context.WithTimeout(t.Context(), spinTime)
		defer cancel()
		in, err := m.Instantiate(ctx, executor.InstanceConfig{})
		if err == nil {
			closed(t, in)
		}
		mentions(t, err, executor.ErrDeadline)
	})
}
