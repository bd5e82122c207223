//go:build cgo

package wasmtime

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

// What an engine and its compilers say to each other. A compiler is a process that
// compiles one module:
//
//	engine: COMMAND bungee-compile SETTINGS    as arguments; SETTINGS are compilerSettings, in JSON
//	compiler: ready                            a byte, once it can read
//	engine: bounds | module                    until the end of its standard input
//	compiler: compiled or refused | the code, or why not
//
// Bounds are three little-endian u64: bytes of memory, nanoseconds of CPU, bytes of the
// module.
const (
	compilerArg = "bungee-compile"
	ready       = 'r'
	compiled    = 'c'
	refused     = 'e'
	boundsSize  = 24
)

// compilerSettings are what of an engine's settings changes the code.
type compilerSettings struct {
	Pool     bool // the code is for an engine with slots
	Parallel bool // use all cores
}

// ownCompiler says that this program is a compiler when it is started as one.
var ownCompiler atomic.Bool

// CompilerMain lets engines compile in processes of this program: call it first in main,
// or in TestMain, before anything is read or opened. Where an engine has started the
// process for that, CompilerMain compiles and does not return. Otherwise it returns at
// once, and engines whose Config names no Compiler start this program as theirs.
func CompilerMain() {
	if len(os.Args) == 3 && os.Args[1] == compilerArg {
		os.Exit(compilerMain(os.Args[2]))
	}
	ownCompiler.Store(true)
}

// compilerMain compiles the module on standard input to standard output, and returns the
// exit status.
func compilerMain(settings string) int {
	var s compilerSettings
	err := json.Unmarshal([]byte(settings), &s)
	if err == nil {
		err = serveCompilation(s, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compiler:", err)
		return 1
	}
	return 0
}

// serveCompilation answers what is read from in on out.
func serveCompilation(s compilerSettings, in io.Reader, out io.Writer) error {
	debug.SetTraceback("none") // what the compiler says itself is enough
	confine()
	cfg := Config{Instances: -1, ParallelCompile: s.Parallel, Logger: slog.New(slog.DiscardHandler)}
	if s.Pool {
		cfg.Instances = 1
	}
	engine := wt.NewEngineWithConfig(settings(cfg))
	if _, err := out.Write([]byte{ready}); err != nil {
		return err
	}
	wasm, err := readModule(in)
	if err != nil || wasm == nil {
		return err
	}
	kind, answer := byte(compiled), []byte(nil)
	m, err := wt.NewModule(engine, wasm)
	if err == nil {
		answer, err = m.Serialize()
	}
	if err != nil {
		kind, answer = refused, []byte(clip(err.Error()))
	}
	if _, err = out.Write([]byte{kind}); err == nil {
		_, err = out.Write(answer)
	}
	return err
}

// readModule reads the bounds of this process, which hold from then on, and the module.
// It returns nil where the engine has ended before it had one.
func readModule(in io.Reader) ([]byte, error) {
	r := bufio.NewReader(in)
	var bounds [boundsSize]byte
	if _, err := io.ReadFull(r, bounds[:]); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	word := func(k int) uint64 { return binary.LittleEndian.Uint64(bounds[8*k:]) }
	if word(2) > maxModule {
		return nil, fmt.Errorf("a module of %d bytes; at most %d are read", word(2), maxModule)
	}
	if err := bound(word(0), time.Duration(word(1))); err != nil {
		return nil, fmt.Errorf("set the bounds of the process: %w", err)
	}
	wasm := make([]byte, word(2))
	_, err := io.ReadFull(r, wasm)
	return wasm, err
}

// maxModule is more than what any module becomes by being prepared.
const maxModule = 1 << 30
