package head

import (
	"strconv"
	"strings"
)

// A ShapeError reports outputs that the head asked for, or any known head,
// cannot read.
type ShapeError struct {
	Kind           Kind // asked for, or empty
	Got            [][]int
	InputW, InputH int
	Classes        int // how many labels there are; 0: not known
}

// Error names the shapes that came and all that are known.
func (e *ShapeError) Error() string {
	var b strings.Builder
	b.WriteString(outputs(e.Got))
	if e.Kind == "" {
		b.WriteString(" fit no known head")
	} else {
		b.WriteString(" do not fit the head " + string(e.Kind))
	}
	b.WriteString(" at input " + strconv.Itoa(e.InputW) + "x" + strconv.Itoa(e.InputH))
	if e.Classes > 0 {
		b.WriteString(" and " + strconv.Itoa(e.Classes) + " labels")
	}
	b.WriteString("; known are ")
	for i, l := range layouts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(string(l.kind) + " " + l.shape)
	}
	b.WriteString("; N is " + strconv.Itoa(cells(e.InputW, e.InputH)) + " at this input")
	return b.String()
}

// A ClassesError reports outputs whose shape is that of a head, but with another
// number of classes than there are labels: either the head is another one, or the
// labels are another network's.
type ClassesError struct {
	Kind    Kind // asked for, or empty
	Got     [][]int
	As      []Kind // the heads whose shape it is
	Classes []int  // how many classes each of them would have
	Labels  int
}

// Error says how the outputs can be read, and what to do.
func (e *ClassesError) Error() string {
	var b strings.Builder
	b.WriteString(outputs(e.Got) + " have")
	for i, k := range e.As {
		if i > 0 {
			b.WriteString(" or")
		}
		b.WriteString(" " + strconv.Itoa(e.Classes[i]) + " classes read as " + string(k))
	}
	b.WriteString(", and there are " + strconv.Itoa(e.Labels) + " labels; " + wayOut)
	return b.String()
}

// An AmbiguousError reports outputs whose shape does not tell which head they are of: it
// has to be named.
type AmbiguousError struct {
	Got  [][]int
	Fits []Kind
}

// Error names the heads to choose from.
func (e *AmbiguousError) Error() string {
	names := make([]string, len(e.Fits))
	for i, k := range e.Fits {
		names[i] = string(k)
	}
	return outputs(e.Got) + " can be those of " + strings.Join(names, " and of ") +
		", but their shape alone is no proof; say with -head which it is"
}

// A ValueError reports outputs of the right shape whose numbers the head cannot have
// given: those of another kind of network, or of one exported without its last layers.
type ValueError struct {
	Kind Kind
	What string
}

// Error says what was found, and what to do.
func (e *ValueError) Error() string {
	return "the network's outputs are not those of the head " + string(e.Kind) + ": " + e.What + "; " + wayOut
}

// wayOut says what the owner of a network can do.
const wayOut = "name the head that the network has with -head, and its labels, one a line, in a file beside it that ends in .names"

func outputs(all [][]int) string {
	s := "the network's output shapes "
	if len(all) == 0 {
		s += "(none)"
	}
	for i, shape := range all {
		if i > 0 {
			s += " "
		}
		s += shapeString(shape)
	}
	return s
}

func shapeString(s []int) string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = strconv.Itoa(d)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
