package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// A FuncType is a function that a module imports or exports. Params and Results
// hold a letter a value, as in [HostFunc]; 'f' and 'd' are f32 and f64, '?' is
// any other type. Module is empty for an export.
type FuncType struct {
	Module, Name    string
	Params, Results string
}

// WASI is the module whose functions an [Engine] provides by itself.
const WASI = "wasi_snapshot_preview1"

// guestExports are the functions a module must export to be a guest.
var guestExports = []FuncType{
	{Name: abi.ExportABI, Results: "i"},
	{Name: abi.ExportBuf, Params: "i", Results: "i"},
	{Name: abi.ExportCall, Params: "iiil", Results: "l"},
}

// CheckExports returns an error that is [ErrABI] and names each export of the
// guest ABI which a module lacks, or has with another type. Engines call it in
// Load. memory says whether the module exports its memory.
func CheckExports(exports []FuncType, memory bool) error {
	var faults []string
	if !memory {
		faults = append(faults, abi.ExportMemory)
	}
	byName := map[string]FuncType{}
	for _, e := range exports {
		byName[e.Name] = e
	}
	for _, want := range guestExports {
		if byName[want.Name] != want {
			faults = append(faults, want.signature())
		}
	}
	init, ok := byName[abi.ExportInitialize]
	if ok && init.Params+init.Results != "" {
		faults = append(faults, FuncType{Name: abi.ExportInitialize}.signature())
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: it must export %s; docs/abi.md tells what a guest exports", ErrABI, strings.Join(faults, ", "))
	}
	return nil
}

// signature returns f for a message, such as "bungee_buf(i) i".
func (f FuncType) signature() string {
	return strings.TrimSuffix(f.Name+"("+f.Params+") "+f.Results, " ")
}

// A Linkage holds the host functions of one instance: those of module "bungee",
// which every guest may import, and those of [InstanceConfig].Host. An Engine
// makes one for each Instance and closes it with the Instance.
type Linkage struct {
	funcs  map[[2]string]HostFunc
	closes []func()
}

// NewLinkage makes the host functions of an instance.
func NewLinkage(cfg InstanceConfig) *Linkage {
	l := &Linkage{funcs: map[[2]string]HostFunc{}}
	for _, m := range cfg.Host {
		funcs, done := m.New()
		l.add(m.Name, funcs)
		if done != nil {
			l.closes = append(l.closes, done)
		}
	}
	l.add(abi.Module, baseFuncs(cfg.Log))
	return l
}

func (l *Linkage) add(module string, funcs []HostFunc) {
	for _, f := range funcs {
		l.funcs[[2]string{module, f.Name}] = f
	}
}

// Close runs the close functions of the host modules, once.
func (l *Linkage) Close() {
	for _, done := range l.closes {
		done()
	}
	l.closes = nil
}

// Lookup returns the host function called name of module.
func (l *Linkage) Lookup(module, name string) (HostFunc, bool) {
	f, ok := l.funcs[[2]string{module, name}]
	return f, ok
}

// maxNamed bounds the imports that an error names: a hostile module has many.
const maxNamed = 16

// Check returns an error that is [ErrABI] and names the imports which are no
// host function of l. The Engine answers for those of its own module [WASI].
func (l *Linkage) Check(imports []FuncType, wasi func(FuncType) bool) error {
	var missing []string
	for _, im := range imports {
		if im.Module == WASI && wasi(im) || l.has(im) {
			continue
		}
		missing = append(missing, clip(im.Module+"."+im.signature(), 128))
	}
	if len(missing) == 0 {
		return nil
	}
	names, more := missing[:min(len(missing), maxNamed)], ""
	if n := len(missing) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: it imports %q%s, which this host does not give; build the module without them or give them in InstanceConfig.Host",
		ErrABI, names, more)
}

func (l *Linkage) has(im FuncType) bool {
	f, ok := l.Lookup(im.Module, im.Name)
	return ok && f.Params == im.Params && f.Results == im.Results
}

// Run runs Call. A panic of Call becomes an error.
func (f HostFunc) Run(ctx context.Context, mem Memory, stack []uint64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("host function %s: %w", f.Name, err)
		}
	}()
	return f.Call(ctx, mem, stack)
}

var errPointer = errors.New("pointer outside the guest's memory")

// baseFuncs are the functions of module "bungee".
func baseFuncs(log func(string)) []HostFunc {
	return []HostFunc{
		{Name: abi.ImportLog, Params: "iii", Call: func(_ context.Context, mem Memory, stack []uint64) error {
			return logLine(log, mem, uint32(stack[1]), uint32(stack[2]))
		}},
		{Name: abi.ImportNow, Results: "l", Call: func(_ context.Context, _ Memory, stack []uint64) error {
			stack[0] = uint64(now())
			return nil
		}},
		{Name: abi.ImportCanceled, Results: "i", Call: func(ctx context.Context, _ Memory, stack []uint64) error {
			stack[0] = 0
			if ctx.Err() != nil {
				stack[0] = 1
			}
			return nil
		}},
	}
}

// logLine gives the guest's text at ptr to log, cut to abi.MaxLog.
func logLine(log func(string), mem Memory, ptr, n uint32) error {
	text, ok := mem.Bytes(ptr, min(n, abi.MaxLog))
	if !ok {
		return errPointer
	}
	if log != nil {
		log(string(text))
	}
	return nil
}

// start is the zero of the clock that guests read.
var start = time.Now()

func now() int64 { return int64(time.Since(start)) }

// guestDeadline returns the deadline of ctx on the guests' clock, 0 for none.
func guestDeadline(ctx context.Context) int64 {
	d, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int64(d.Sub(start)))
}
