package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// An ONNX is what an ONNX file says of itself.
type ONNX struct {
	// Inputs and Outputs are in the order of the file, without the constants that
	// older files list among the inputs.
	Inputs, Outputs []Port
	// Metadata is what the exporter noted, such as "names", "imgsz" and "task".
	Metadata map[string]string
}

// A Port is an input or an output of a network.
type Port struct {
	Name string
	Type ElementType
	// Shape is of the dimensions, [AnySize] where they are not fixed.
	Shape []int
}

// AnySize is a dimension whose size a file leaves open.
const AnySize = -1

// An ElementType is the type of a tensor's numbers, as ONNX numbers them.
type ElementType int

// Types that networks have at their inputs. There are more.
const (
	Float32 ElementType = 1
	Int32   ElementType = 6
	Int64   ElementType = 7
	Float16 ElementType = 10
)

// Bounds on what is read of an ONNX file beside its weights.
const (
	maxFields   = 1 << 21 // of messages
	maxPorts    = 1 << 10
	maxText     = 1 << 20 // bytes of a name or a note
	maxMetadata = 1 << 8
)

// ReadONNX reads what the ONNX file at path says of its inputs and outputs. It does not
// read the weights. Its errors wrap [ErrModel] and name the file.
func ReadONNX(path string) (*ONNX, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	o, err := parseONNX(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no ONNX file that can be read: %w", ErrModel, path, err)
	}
	return o, nil
}

// ParseONNX is [ReadONNX] of a file's bytes.
func ParseONNX(b []byte) (*ONNX, error) {
	o, err := parseONNX(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: no ONNX file that can be read: %w", ErrModel, err)
	}
	return o, nil
}

// CheckImage returns an error if the first input of the network is not an image of the model's size.
func (o *ONNX) CheckImage(m *Model) error {
	want := []int{1, 3, m.InputH, m.InputW}
	if len(o.Inputs) == 0 || !slices.EqualFunc(o.Inputs[0].Shape, want, func(d, w int) bool { return d == w || d == AnySize }) {
		return fmt.Errorf("its inputs are %v; want an image of shape %v first", o.Inputs, want)
	}
	return nil
}

// The numbers of the fields that are read, as onnx.proto has them.
const (
	modelGraph, modelMetadata              = 7, 14
	graphConstant, graphInput, graphOutput = 5, 11, 12
	entryKey, entryValue                   = 1, 2
	tensorName                             = 8
	valueName, valueType                   = 1, 2
	typeTensor, tensorElement, tensorShape = 1, 1, 2
	shapeDim, dimSize                      = 1, 1
)

func parseONNX(r io.ReaderAt, size int64) (*ONNX, error) {
	budget := maxFields
	o := &ONNX{Metadata: map[string]string{}}
	constants := map[string]bool{}
	found := false
	err := message{r, 0, size, &budget}.each(func(field int, m message, _ uint64) error {
		switch field {
		case modelGraph:
			found = true
			return o.graph(m, constants)
		case modelMetadata:
			return o.note(m)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !found || len(o.Outputs) == 0:
		return nil, errors.New("it has no graph with outputs")
	}
	var inputs []Port
	for _, p := range o.Inputs {
		if !constants[p.Name] {
			inputs = append(inputs, p)
		}
	}
	o.Inputs = inputs
	return o, nil
}

// graph reads the ports of a graph, and the names of its constants.
func (o *ONNX) graph(m message, constants map[string]bool) error {
	return m.each(func(field int, m message, _ uint64) error {
		switch field {
		case graphConstant:
			name, err := m.text(tensorName)
			constants[name] = true
			return err
		case graphInput, graphOutput:
			list := &o.Inputs
			if field == graphOutput {
				list = &o.Outputs
			}
			p, err := m.port()
			if err == nil && len(*list) == maxPorts {
				err = fmt.Errorf("it has more than %d inputs or outputs", maxPorts)
			}
			*list = append(*list, p)
			return err
		}
		return nil
	})
}

// note reads an entry of the metadata.
func (o *ONNX) note(m message) error {
	key, err := m.text(entryKey)
	if err != nil {
		return err
	}
	value, err := m.text(entryValue)
	if len(o.Metadata) < maxMetadata {
		o.Metadata[key] = value
	}
	return err
}

// port reads a ValueInfoProto.
func (m message) port() (p Port, err error) {
	if p.Name, err = m.text(valueName); err != nil {
		return p, err
	}
	err = m.each(func(field int, m message, _ uint64) error {
		if field != valueType {
			return nil
		}
		return m.each(func(field int, m message, _ uint64) error {
			if field != typeTensor {
				return nil
			}
			return m.tensor(&p)
		})
	})
	return p, err
}

// tensor reads the type and the shape of a tensor.
func (m message) tensor(p *Port) error {
	return m.each(func(field int, m message, n uint64) error {
		switch field {
		case tensorElement:
			p.Type = ElementType(min(n, 1<<20))
		case tensorShape:
			return m.each(func(field int, m message, _ uint64) error {
				if field != shapeDim {
					return nil
				}
				if len(p.Shape) == nn.MaxRank {
					return fmt.Errorf("%.64q has more than %d dimensions", p.Name, nn.MaxRank)
				}
				p.Shape = append(p.Shape, AnySize)
				return m.each(func(field int, _ message, n uint64) error {
					if field == dimSize && 0 < n && n <= nn.MaxTensor {
						p.Shape[len(p.Shape)-1] = int(n)
					}
					return nil
				})
			})
		}
		return nil
	})
}
