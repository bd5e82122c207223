package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// A Crowd is a process that holds as many instances of a guest as it is told.
type Crowd struct {
	Engine    string // by name
	Cache     string // folder of compiled modules
	Module    string // file
	Instances int    // that the engine has to make room for
}

// A crowdOrder tells a Crowd to hold a number of instances, and then to call the first
// ones in turn, Calls calls in all.
type crowdOrder struct {
	Instances int `json:"instances"`
	Active    int `json:"active"`
	Calls     int `json:"calls"`
}

// A crowdReport is the answer to an order.
type crowdReport struct {
	Instances int       `json:"instances"` // that it holds
	Pss       int64     `json:"pss"`       // bytes of the process
	Micros    []float64 `json:"micros"`    // of each call
	ResizeMS  float64   `json:"resize_ms"` // time that making or closing instances took
	Limit     string    `json:"limit"`     // why they are fewer than ordered
	Error     string    `json:"error"`
}

// Run follows the orders of in on e, and reports to out.
func (c Crowd) Run(ctx context.Context, e executor.Engine, in io.Reader, out io.Writer) error {
	wasm, err := os.ReadFile(c.Module)
	if err != nil {
		return err
	}
	m, err := e.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		return err
	}
	defer m.Close()
	conf, err := instanceConfig()
	if err != nil {
		return err
	}
	h := &crowdHost{module: m, conf: conf}
	defer h.resize(ctx, 0)
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o crowdOrder
		if err := from.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := to.Encode(h.do(ctx, o)); err != nil {
			return err
		}
	}
}

// A crowdHost has the instances.
type crowdHost struct {
	module    executor.Module
	conf      executor.InstanceConfig
	instances []executor.Instance
}

func (h *crowdHost) do(ctx context.Context, o crowdOrder) (r crowdReport) {
	begin := time.Now()
	if err := h.resize(ctx, o.Instances); err != nil {
		r.Limit = err.Error()
	}
	r.ResizeMS = ms(time.Since(begin))
	r.Instances = len(h.instances)
	var err error
	if o.Calls > 0 {
		r.Micros, err = h.call(ctx, min(o.Active, r.Instances), o.Calls)
	} else {
		r.Pss, err = pss()
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// resize makes or closes instances until it has n. Its error says why it has fewer.
func (h *crowdHost) resize(ctx context.Context, n int) error {
	for len(h.instances) > n {
		last := len(h.instances) - 1
		h.instances[last].Close()
		h.instances = h.instances[:last]
	}
	for len(h.instances) < n {
		in, err := h.module.Instantiate(ctx, h.conf)
		if err != nil {
			return err
		}
		h.instances = append(h.instances, in)
	}
	return nil
}

// call makes n calls of the first active instances, in turn.
func (h *crowdHost) call(ctx context.Context, active, n int) (micros []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	request := workRequest(crowdWork)
	for i := range n {
		begin := time.Now()
		if _, err := h.instances[i%active].Call(ctx, fnWork, request); err != nil {
			return nil, err
		}
		micros = append(micros, float64(time.Since(begin).Nanoseconds())/1e3)
	}
	return micros, nil
}

// crowdWork is how much an active instance computes in a call: some 50 us.
const crowdWork = 20_000

var pssLine = regexp.MustCompile(`(?m)^Pss: +([0-9]+) kB$`)

// pss returns the bytes of memory of this process, of pages that it shares its share.
// Linux tells.
func pss() (int64, error) {
	debug.FreeOSMemory() // what is garbage is not its own
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	m := pssLine.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no Pss in %q", text)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10, err
}
