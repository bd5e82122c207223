package capability

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A policyFile is the layout of a policy's file.
type policyFile struct {
	Default table   `toml:"default"`
	Tenant  []table `toml:"tenant"`
}

// A position is where something is in a policy's file.
type position struct {
	file         string
	line, column int
}

// String returns file:line, as refusals have it.
func (p position) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// full returns file:line:column, as errors have it.
func (p position) full() string { return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column) }

// maxTenants bounds the tables of a file.
const maxTenants = 4096

// readFile reads a policy's file. Its tables know which keys they have, and where.
func readFile(name string, text []byte) (*policyFile, error) {
	var f policyFile
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f)
	var strict *toml.StrictMissingError
	if err != nil && !errors.As(err, &strict) {
		return nil, decodeError(name, err)
	}
	s := &survey{file: name, text: text, tables: map[string]*table{"default": &f.Default}}
	for i := range f.Tenant {
		s.tables[tenantKey(i)] = &f.Tenant[i]
	}
	if s.run(); err != nil && len(s.bad.errs) == 0 {
		for i := range strict.Errors {
			s.bad.errs = append(s.bad.errs, decodeError(name, &strict.Errors[i]))
		}
	}
	if len(f.Tenant) > maxTenants {
		s.bad.add("%s has %d tables [[tenant]]; there may be %d", name, len(f.Tenant), maxTenants)
	}
	s.names(&f)
	return &f, s.bad.err()
}

// decodeError says where a file is wrong. The library's text names Go types behind
// "into".
func decodeError(name string, err error) error {
	var d *toml.DecodeError
	if !errors.As(err, &d) {
		return fmt.Errorf("%s: %w", name, err)
	}
	line, column := d.Position()
	what, _, _ := strings.Cut(strings.TrimPrefix(d.Error(), "toml: "), " into ")
	if len(d.Key()) > 0 {
		what = strings.Join(d.Key(), ".") + ": " + what
	}
	return fmt.Errorf("%s:%d:%d: %s; docs/policy.md tells what stands there", name, line, column, clip(what))
}

// A survey finds where the keys of a file are.
type survey struct {
	file   string
	text   []byte
	tables map[string]*table // by tenantKey, and "default"
	bad    checker

	p      unstable.Parser
	at     []string // the table that is open
	tenant int      // tables [[tenant]] so far
}

func tenantKey(i int) string { return fmt.Sprintf("tenant %d", i) }

// run notes the keys of the tables, and complains of those that are unknown.
func (s *survey) run() {
	s.p.Reset(s.text)
	for s.p.NextExpression() {
		switch e := s.p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			s.open(e)
		case unstable.KeyValue:
			s.note(s.at, e)
		}
	}
}

// open notes the header of a table.
func (s *survey) open(e *unstable.Node) {
	keys, at := s.key(e)
	if keys[0] == "tenant" && len(keys) == 1 && e.Kind == unstable.ArrayTable {
		s.tenant++
	}
	if keys[0] == "tenant" && s.tenant > 0 {
		keys[0] = tenantKey(s.tenant - 1)
	}
	s.at = keys
	if t := s.tables[keys[0]]; t != nil && len(keys) == 1 {
		t.head = at
	}
	s.have(keys, at)
}

// note notes a key and those of the inline table that it may have.
func (s *survey) note(in []string, e *unstable.Node) {
	keys, at := s.key(e)
	keys = slices.Concat(in, keys)
	s.have(keys, at)
	if e.Value().Kind != unstable.InlineTable {
		return
	}
	for c := e.Value().Children(); c.Next(); {
		s.note(keys, c.Node())
	}
}

// key returns the key of an expression.
func (s *survey) key(e *unstable.Node) (keys []string, at position) {
	for k := e.Key(); k.Next(); {
		if n := k.Node(); keys == nil {
			start := s.p.Shape(n.Raw).Start
			at = position{s.file, start.Line, start.Column}
		}
		keys = append(keys, string(k.Node().Data))
	}
	return keys, at
}

// have notes that a table has a key.
func (s *survey) have(keys []string, at position) {
	t := s.tables[keys[0]]
	if t == nil {
		s.bad.add("%s: %q is unknown here; a policy has [default] and [[tenant]], with keys below them", at.full(), clip(keys[0]))
		return
	}
	if t.own == nil {
		t.own = map[string]position{}
	}
	known := t.fields()
	for n := 2; n <= len(keys); n++ {
		key := strings.Join(keys[1:n], ".")
		if _, ok := known[key]; ok {
			t.own[key] = at
			return // what is below it is a value
		}
	}
	key := strings.Join(keys[1:], ".")
	switch key {
	case "name":
		t.own[key] = at
	case "", "quota", "limits":
	default:
		s.bad.add("%s: %q is unknown; there are %s", at.full(), clip(key), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
}

// names complains of tables whose names are wrong, or keep another from being used.
func (s *survey) names(f *policyFile) {
	if at, ok := f.Default.own["name"]; ok {
		s.bad.add("%s: [default] has no name; it is for all who match no [[tenant]]", at.full())
	}
	first := map[string]position{}
	for i := range f.Tenant {
		t := &f.Tenant[i]
		at := cmp.Or(t.own["name"], t.head)
		if err := goodPattern(t.Name); err != nil {
			s.bad.add("%s: name: %w", at.full(), err)
		} else if earlier, ok := first[t.Name]; ok {
			s.bad.add("%s: name %q is that of %s, which comes first", at.full(), clip(t.Name), earlier)
		} else {
			first[t.Name] = at
		}
	}
}
