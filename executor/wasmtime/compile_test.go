//go:build cgo

package wasmtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/line"
)

// watGuest returns a guest whose function 0 answers nothing, with n more functions, which
// take a millisecond each to compile.
func watGuest(t *testing.T, n int) executor.Source {
	t.Helper()
	var text strings.Builder
	text.WriteString(`(module (memory (export "memory") 1)
		(func (export "bungee_abi") (result i32) (i32.const 1))
		(func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
		(func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x800000001))`)
	for range n {
		fmt.Fprintf(&text, "(func (param i32) (result i32) (local i32) (loop $l %s (br_if $l (local.get 0))) (local.get 1))",
			strings.Repeat("(local.set 1 (i32.add (i32.load (local.get 0)) (i32.mul (local.get 1) (local.get 0))))", 10))
	}
	text.WriteString(")")
	wasm, err := wt.Wat2Wasm(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return executor.Bytes(wasm)
}

func newCached(t *testing.T) *Engine {
	t.Helper()
	e, err := New(Config{Instances: 16, CacheDir: filepath.Join(t.TempDir(), "cache")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// use loads src, calls its function 0 and closes it.
func use(ctx context.Context, e *Engine, src executor.Source) error {
	m, err := e.Load(ctx, src)
	if err != nil {
		return err
	}
	defer m.Close()
	in, err := m.Instantiate(ctx, executor.InstanceConfig{})
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = in.Call(ctx, 0, nil)
	return err
}

func TestCompilationBlocksNoOther(t *testing.T) {
	e, small, large := newCached(t), watGuest(t, 0), watGuest(t, 400)
	if err := use(t.Context(), e, small); err != nil {
		t.Fatal(err)
	}
	begun, done := make(chan struct{}), make(chan error, 1) // the test may have ended
	wasm := large.Wasm
	large.Wasm = func() ([]byte, error) {
		close(begun)
		return wasm()
	}
	go func() { done <- use(t.Context(), e, large) }()
	<-begun
	uses := 0
	for {
		select {
		case err := <-done:
			if err != nil || uses < 3 {
				t.Errorf("got %v, with %d loads and calls of another module meanwhile; want many", err, uses)
			}
			return
		default:
		}
		if err := use(t.Context(), e, small); err != nil {
			t.Fatal(err)
		}
		uses++
	}
}

func TestWaitForCompilation(t *testing.T) {
	e, src := newCached(t), watGuest(t, 0)
	e.line = line.New(line.Config{Places: 1, Memory: 1 << 40, Waiting: 1, Slice: time.Second})
	other, err := e.line.Enter(t.Context(), line.Ask{Tenant: "other", Time: time.Hour}) // another module is being compiled
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("nobody wants it any more")
	cancel(gone)
	if err := use(ctx, e, src); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	absent := executor.Source{Wasm: func() ([]byte, error) { return nil, gone }}
	if err := use(t.Context(), e, absent); !errors.Is(err, gone) {
		t.Errorf("a module that cannot be had: got %v, want %v before any wait", err, gone)
	}
	other.Leave()
	if err := use(t.Context(), e, src); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestVerifiesOnce(t *testing.T) {
	e, src := newCached(t), watGuest(t, 0)
	if err := use(t.Context(), e, src); err != nil {
		t.Fatal(err)
	}
	k := e.cache.ownKey(src)
	v, ok := e.cache.recall(k)
	if !ok {
		t.Fatal("the file that was just mapped is not known")
	}
	m, known := e.cached(src)
	if m == nil || known != v.facts {
		t.Fatalf("got module %v, %+v; want what was known of the file", m, known)
	}
	m.Close()
	if after, _ := e.cache.recall(k); after.info != v.info {
		t.Error("the file was read again, though it did not change")
	}
}

// Loads of one module at once share what is known of it.
func TestLoadsAtOnce(t *testing.T) {
	e, src := newCached(t), watGuest(t, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := use(context.Background(), e, src); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	v, ok := e.cache.recall(e.cache.ownKey(src))
	if !ok || v.need.Load() == nil {
		t.Error("nothing is known of a module that was loaded")
	}
}
