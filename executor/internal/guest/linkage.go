package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// A FuncType is a function that a module imports or exports. Params and Results
// hold a letter a value, as in [executor.HostFunc]; '?' is any other type. Module is empty for
// an export.
type FuncType struct {
	Module, Name    string
	Params, Results string
}

// guestExports are the functions a module must export to be a guest.
var guestExports = []FuncType{
	{Name: abi.ExportABI, Results: "i"},
	{Name: abi.ExportBuf, Params: "i", Results: "i"},
	{Name: abi.ExportCall, Params: "iiil", Results: "l"},
}

// CheckExports returns an error that is [executor.ErrABI] and names each export of the
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
		return fmt.Errorf("%w: it must export %s; docs/abi.md tells what a guest exports", executor.ErrABI, strings.Join(faults, ", "))
	}
	return nil
}

// signature returns f for a message, such as "bungee_buf(i) i".
func (f FuncType) signature() string {
	return strings.TrimSuffix(f.Name+"("+f.Params+") "+f.Results, " ")
}

// A Need is what a module asks of each of its instances.
type Need struct {
	Imports []FuncType
	Memory  uint64 // bytes at the start
	Table   uint64 // elements at the start, of all tables
	Metered bool   // it was loaded with Source.Meter
	// Deterministic is the manifest's: the guest is told no time, no deadline and
	// no cancellation, on which its answer could depend.
	Deterministic bool
}

// A Linkage is what an instance is made with: the host functions it imports, its
// limits, and its part of its tenant's quota. An Engine makes one for each Instance,
// before anything else, and closes it with the Instance, after all else.
type Linkage struct {
	// Limits are those of the instance, defaults set. Constant.
	Limits executor.Limits
	// Metered says that the instance counts all that a Bill has. Constant.
	Metered bool

	timeless bool                // Need.Deterministic
	funcs    []executor.HostFunc // by the import's index
	closes   []func()
	tenant   *executor.Tenant

	// Of the call that runs.
	ctx      context.Context
	err      error // of the host function that made the guest trap
	calls    uint64
	hostTime time.Duration
}

// NewLinkage finds what need asks for in cfg. An error leaves nothing held. It is
// ErrABI where the module asks for what it is not given, and ErrQuota where the
// tenant has no more.
func NewLinkage(cfg executor.InstanceConfig, need Need) (*Linkage, error) {
	l := &Linkage{Limits: cfg.Limits.WithDefaults(), Metered: need.Metered, timeless: need.Deterministic, tenant: cfg.Tenant}
	if err := l.fits(need); err != nil {
		return nil, err
	}
	if err := l.tenant.HoldInstance(l.Limits.Memory); err != nil {
		return nil, err
	}
	missing := l.open(cfg, need.Imports)
	if len(missing) > 0 {
		l.Close()
		return nil, missingError(missing, withheld(cfg, missing))
	}
	return l, nil
}

// fits says whether a module can begin within the limits.
func (l *Linkage) fits(need Need) error {
	switch {
	case need.Memory > uint64(l.Limits.Memory):
		return fmt.Errorf("%w: it begins with %d bytes of memory; the limit is %d", executor.ErrABI, need.Memory, l.Limits.Memory)
	case need.Table > uint64(l.Limits.Table):
		return fmt.Errorf("%w: it begins with %d table elements; the limit is %d", executor.ErrABI, need.Table, l.Limits.Table)
	case l.Limits.Fuel > 0 && !need.Metered:
		return errors.New("a limit on fuel needs a module that was loaded with Source.Meter")
	}
	return nil
}

// open makes the host functions that are imported, and returns the imports that cfg
// does not give. Those that the module imports nothing of are not made.
func (l *Linkage) open(cfg executor.InstanceConfig, imports []FuncType) (missing []FuncType) {
	l.funcs = make([]executor.HostFunc, len(imports))
	for _, m := range cfg.Host {
		if slices.ContainsFunc(imports, func(im FuncType) bool { return im.Module == m.Name }) {
			funcs, done := m.New()
			l.fill(imports, m.Name, funcs)
			if done != nil {
				l.closes = append(l.closes, done)
			}
		}
	}
	l.fill(imports, abi.Module, l.baseFuncs(cfg.Log))
	for k, im := range imports {
		if l.funcs[k].Call == nil {
			missing = append(missing, im)
		}
	}
	return missing
}

// fill takes the functions that are imported from module.
func (l *Linkage) fill(imports []FuncType, module string, funcs []executor.HostFunc) {
	for k, im := range imports {
		if im.Module != module {
			continue
		}
		for _, f := range funcs {
			if f.Name == im.Name && f.Params == im.Params && f.Results == im.Results {
				l.funcs[k] = f
			}
		}
	}
}

// withheld returns why host functions that imports name are not given.
func withheld(cfg executor.InstanceConfig, imports []FuncType) []error {
	if cfg.Withheld == nil {
		return nil
	}
	var why []error
	asked := map[string]bool{}
	for _, im := range imports {
		if asked[im.Module] {
			continue
		}
		asked[im.Module] = true
		if err := cfg.Withheld(im.Module); err != nil {
			why = append(why, err)
		}
	}
	return why
}

// maxNamed bounds the imports that an error names: a line of a log is read by a person, and a hostile module has many.
const maxNamed = 4

func missingError(missing []FuncType, why []error) error {
	var names []string
	for _, im := range missing[:min(len(missing), maxNamed)] {
		names = append(names, clip(im.Module+"."+im.signature(), 128))
	}
	more := ""
	if n := len(missing) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	if len(why) > 0 {
		return fmt.Errorf("%w: it imports %q%s: %w", executor.ErrABI, names, more, errors.Join(why...))
	}
	return fmt.Errorf("%w: it imports %q%s, which this host does not give; build the module without them or give them in InstanceConfig.Host",
		executor.ErrABI, names, more)
}

// Close runs the close functions of the host functions and returns what the instance
// held of its tenant's quota, once.
func (l *Linkage) Close() {
	for _, done := range l.closes {
		done()
	}
	l.closes = nil
	l.tenant.ReleaseInstance(l.Limits.Memory)
	l.tenant = nil
}

// Call runs the host function that import k is, in the context of the call that
// runs. After an error the engine makes the guest trap.
func (l *Linkage) Call(k int, mem executor.Memory, stack []uint64) error {
	l.calls++
	var begin time.Time
	if l.Metered {
		begin = time.Now()
	}
	err := run(l.ctx, &l.funcs[k], mem, stack)
	if l.Metered {
		l.hostTime += time.Since(begin)
	}
	if err != nil {
		l.err = err
	}
	return err
}

// run runs f's Call. A panic of it becomes an error.
func run(ctx context.Context, f *executor.HostFunc, mem executor.Memory, stack []uint64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("panic: " + abi.PanicLine(p))
		}
		if err != nil {
			err = fmt.Errorf("host function %s: %w", f.Name, err)
		}
	}()
	return f.Call(ctx, mem, stack)
}

// begin and end are around what a guest runs for ctx.
func (l *Linkage) begin(ctx context.Context) {
	l.ctx, l.err, l.calls, l.hostTime = ctx, nil, 0, 0
}

func (l *Linkage) end() { l.ctx = nil }

// Context returns the context of the call that runs.
func (l *Linkage) Context() context.Context { return l.ctx }

var errPointer = errors.New("pointer outside the guest's memory")

// baseFuncs are the functions of module "bungee".
func (l *Linkage) baseFuncs(log func(string)) []executor.HostFunc {
	return []executor.HostFunc{
		{Name: abi.ImportLog, Params: "iii", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
			return logLine(log, mem, uint32(stack[1]), uint32(stack[2]))
		}},
		{Name: abi.ImportNow, Results: "l", Call: func(_ context.Context, _ executor.Memory, stack []uint64) error {
			stack[0] = uint64(l.now())
			return nil
		}},
		{Name: abi.ImportCanceled, Results: "i", Call: func(ctx context.Context, _ executor.Memory, stack []uint64) error {
			stack[0] = 0
			if ctx.Err() != nil && !l.timeless {
				stack[0] = 1
			}
			return nil
		}},
	}
}

// logLine gives the guest's text at ptr to log, cut to abi.MaxLog.
func logLine(log func(string), mem executor.Memory, ptr, n uint32) error {
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

// now returns what that clock shows. For a deterministic guest it stands still.
func (l *Linkage) now() int64 {
	if l.timeless {
		return 0
	}
	return int64(time.Since(start))
}

// deadline returns when the guest of a call with ctx is told that its time is over, on the
// guests' clock, 0 for never. That is before the host stops it.
func (l *Linkage) deadline(ctx context.Context) int64 {
	d, ok := ctx.Deadline()
	if !ok || l.timeless {
		return 0
	}
	return max(1, int64(d.Sub(start)-executor.AnswerGrace(time.Until(d))))
}
