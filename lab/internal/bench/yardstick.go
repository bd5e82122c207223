package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// A batch is a run of requests, as the yardstick has it in its package.
type batch struct {
	Transport string  `json:"transport"` // "grpc", "grpcraw" (without protobuf), "tcp"
	Address   string  `json:"address"`
	Requests  int     `json:"requests"`
	In        int     `json:"in"`       // bytes of a request
	Out       int     `json:"out"`      // bytes of an answer
	InFlight  int     `json:"inflight"` // at most so many at once; 0: 1
	Rate      float64 `json:"rate"`     // a second; 0: as fast as they are answered
}

// measured is what a batch came to.
type measured struct {
	Micros     []float64 `json:"micros"` // from when a request was due to its answer
	PerSecond  float64   `json:"per_second"`
	Allocs     float64   `json:"allocs"` // of the requesting process, for each request
	Congestion string    `json:"congestion"`
	Error      string    `json:"error"`

	asked int // requests, where some had no answer
}

// quantile returns the time that a share p of the requests took at most, in ms.
func (m *measured) quantile(p float64) float64 { return quantile(m.Micros, p) / 1e3 }

// took takes note of a request that was answered after d.
func (m *measured) took(d time.Duration) {
	m.Micros = append(m.Micros, float64(d.Nanoseconds())/1e3)
}

// within is the share of the requests that were answered and took d at most.
func (m *measured) within(d time.Duration) float64 {
	n := 0
	for _, t := range m.Micros {
		if t <= float64(d.Microseconds()) {
			n++
		}
	}
	return over(float64(n), float64(max(m.asked, len(m.Micros))))
}

// add takes the requests of another batch in.
func (m *measured) add(o measured) {
	n, k := float64(len(m.Micros)), float64(len(o.Micros))
	if n+k == 0 {
		return
	}
	// The rate of all is the requests over the time of all.
	m.PerSecond = (n + k) / (over(n, m.PerSecond) + over(k, o.PerSecond))
	m.Allocs = (n*m.Allocs + k*o.Allocs) / (n + k)
	m.Micros = append(m.Micros, o.Micros...)
	m.Congestion = o.Congestion
	m.asked += o.asked
}

// over is n/d, 0 where there was nothing.
func over(n, d float64) float64 {
	if d == 0 {
		return 0
	}
	return n / d
}

// A yardstick is the program of that name, serving in one process and requesting
// in another.
type yardstick struct {
	serve, load *process
	at          struct{ GRPC, TCP string }
	to          *json.Encoder
	from        *json.Decoder
}

// notBuilt is what figures say that lack their yardstick.
const notBuilt = `not measured: the yardstick is not built; "make yardstick" builds it`

// startYardstick starts the yardstick. It returns nil if the program is not built.
func startYardstick(program, certs string) (*yardstick, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, nil
	}
	serve, err := start(exec.Command(program, "serve", "-certs", certs))
	if err != nil {
		return nil, err
	}
	y := &yardstick{serve: serve}
	line, err := serve.line()
	if err == nil {
		err = json.Unmarshal([]byte(line), &y.at)
	}
	if err == nil {
		y.load, err = start(exec.Command(program, "load", "-certs", certs))
	}
	if err != nil {
		return nil, errors.Join(err, serve.end())
	}
	y.to, y.from = json.NewEncoder(y.load.in), json.NewDecoder(y.load.out)
	return y, nil
}

func (y *yardstick) end() error {
	if y == nil {
		return nil
	}
	return errors.Join(y.load.end(), y.serve.end())
}

// over runs b over a link of that delay, none if there is no delay.
func (y *yardstick) over(b batch, oneWay time.Duration) (measured, error) {
	if oneWay == 0 {
		return y.run(b)
	}
	link, err := relayTCP(oneWay, b.Address)
	if err != nil {
		return measured{}, err
	}
	b.Address = link.address
	m, err := y.run(b)
	return m, errors.Join(err, link.end())
}

func (y *yardstick) run(b batch) (m measured, err error) {
	if err := y.to.Encode(b); err != nil {
		return m, fmt.Errorf("yardstick: %w", err)
	}
	if err := y.from.Decode(&m); err != nil {
		return m, fmt.Errorf("yardstick: %w", err)
	}
	if m.Error != "" {
		return m, fmt.Errorf("yardstick: %s: %s", b.Transport, m.Error)
	}
	return m, nil
}
