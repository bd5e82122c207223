package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// An order is what to measure of Extism. The yardstick declares the same type.
type order struct {
	Do string `json:"do"` // "instantiate", "load", "call", "crowd"
	N  int    `json:"n"`
}

// observed is the answer to an order.
type observed struct {
	Micros []float64 `json:"micros"`
	Allocs float64   `json:"allocs"`
	Pss    int64     `json:"pss"`
	Error  string    `json:"error"`
}

// An extismProcess is the yardstick as it measures Extism's Go SDK. A nil one is not
// built.
type extismProcess struct {
	*process
	to    *json.Encoder
	from  *json.Decoder
	crowd int // instances that it holds
}

// startExtism starts the yardstick for Extism. It returns nil if the program is not built.
func startExtism(program string) (*extismProcess, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, nil
	}
	p, err := start(exec.Command(program, "extism"))
	if err != nil {
		return nil, err
	}
	return &extismProcess{process: p, to: json.NewEncoder(p.in), from: json.NewDecoder(p.out)}, nil
}

func (p *extismProcess) end() error {
	if p == nil {
		return nil
	}
	return p.process.end()
}

// run does not run where the yardstick is not built.
func (p *extismProcess) run(o order) (seen observed, err error) {
	if p == nil {
		return seen, nil
	}
	if err := p.to.Encode(o); err != nil {
		return seen, fmt.Errorf("yardstick: %w", err)
	}
	if err := p.from.Decode(&seen); err != nil {
		return seen, fmt.Errorf("yardstick: %w", err)
	}
	if seen.Error != "" {
		return seen, fmt.Errorf("yardstick: %s: %s", o.Do, seen.Error)
	}
	return seen, nil
}

// beside measures what Extism takes and adds it to m.
func (s *stage) beside(m *measured, do string, n int) error {
	seen, err := s.extism.run(order{do, max(1, n)})
	m.Micros = append(m.Micros, seen.Micros...)
	m.Allocs = seen.Allocs
	return err
}

// extism puts the time that a share p of Extism's took at most, in ms, beside f.
func (m *measured) extism(f Figure, p float64) Figure {
	if len(m.Micros) == 0 {
		return noExtism(f)
	}
	return besideExtism(f, m.quantile(p))
}

// besideExtism puts Extism's value beside f.
func besideExtism(f Figure, value float64) Figure {
	f.Beside = map[string]float64{"extism": value}
	f.Ratio = over(f.Value, value)
	return f
}

func noExtism(f Figure) Figure {
	if f.Note == "" {
		f.Note = notBuilt
	}
	return f
}
