package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/pflag"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 64 << 10

// notInFile are the flags that no configuration file has.
var notInFile = []string{"config", "help"}

// readConfig sets the flags that a configuration file has. It returns where they are in the file; its
// error has all faults of the file, with line and column.
func readConfig(fl *pflag.FlagSet, file string) (from map[string]string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return parseConfig(fl, filepath.Base(file), text)
}

// parseConfig is readConfig of a text that is called name in errors.
func parseConfig(fl *pflag.FlagSet, name string, text []byte) (from map[string]string, err error) {
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%s has more than %d bytes, which is no configuration", name, maxConfig)
	}
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		return nil, tomlError(name, err)
	}
	from = map[string]string{}
	var bad []error
	for _, k := range topKeys(name, text) {
		if err := setFlag(fl, k.name, values[k.name]); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", k.at, err))
			continue
		}
		from[k.name] = k.at
	}
	return from, errors.Join(bad...)
}

// setFlag gives a flag a value from a file.
func setFlag(fl *pflag.FlagSet, name string, value any) error {
	flag := fl.Lookup(name)
	if flag == nil || slices.Contains(notInFile, name) {
		return fmt.Errorf(`%.64q is no setting; they are the flags of "bungee %s", without dashes: see bungee %[2]s --help`, name, fl.Name())
	}
	texts, err := textsOf(flag.Value.Type(), value)
	if err == nil {
		for _, text := range texts {
			err = errors.Join(err, flag.Value.Set(text))
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	flag.Changed = true
	return nil
}

// textsOf returns what is set for a value of a file: one text, or one for each element of a list or table. kind
// is the type of the flag, as pflag names it.
func textsOf(kind string, value any) (texts []string, err error) {
	switch v := value.(type) {
	case string:
		if kind == "string" || kind == "duration" {
			return []string{v}, nil
		}
	case bool:
		if kind == "bool" {
			return []string{strconv.FormatBool(v)}, nil
		}
	case int64:
		if kind == "int" {
			return []string{strconv.FormatInt(v, 10)}, nil
		}
	case []any:
		if kind != "stringArray" {
			break
		}
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, errors.New(`want a list of texts, such as ["a", "b"]`)
			}
			texts = append(texts, s)
		}
		return texts, nil
	case map[string]any:
		if kind != "stringToString" {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			s, ok := v[key].(string)
			if !ok || strings.ContainsAny(key+s, ",=\"\n") {
				return nil, errors.New(`want a table of plain texts, such as {a = "1"}`)
			}
			texts = append(texts, key+"="+s)
		}
		return texts, nil
	}
	return nil, errors.New(map[string]string{
		"string": `want a text in quotes`, "duration": `want a duration in quotes, such as "10s"`, "bool": "want true or false",
		"int": "want a number without quotes", "stringArray": `want a list of texts, such as ["a", "b"]`,
		"stringToString": `want a table of texts, such as {a = "1"}`,
	}[kind])
}

// tomlError says where a file is no TOML.
func tomlError(name string, err error) error {
	var d *toml.DecodeError
	if !errors.As(err, &d) {
		return fmt.Errorf("%s: %w", name, err)
	}
	line, column := d.Position()
	return fmt.Errorf("%s:%d:%d: %.200s", name, line, column, strings.TrimPrefix(d.Error(), "toml: "))
}

// A fileKey is a key of a file, and where it is first.
type fileKey struct{ name, at string }

// topKeys returns the keys at the top of a file, which is valid TOML, in their order.
func topKeys(file string, text []byte) (keys []fileKey) {
	var p unstable.Parser
	p.Reset(text)
	below := false // a table of the file is open
	for p.NextExpression() {
		e := p.Expression()
		table := e.Kind == unstable.Table || e.Kind == unstable.ArrayTable
		if below = below || table; e.Kind == unstable.KeyValue && below {
			continue
		}
		k := e.Key()
		if !k.Next() {
			continue
		}
		at := p.Shape(k.Node().Raw).Start
		name := string(k.Node().Data)
		if !slices.ContainsFunc(keys, func(o fileKey) bool { return o.name == name }) {
			keys = append(keys, fileKey{name, fmt.Sprintf("%s:%d:%d", file, at.Line, at.Column)})
		}
	}
	return keys
}
