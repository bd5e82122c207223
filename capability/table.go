package capability

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"time"
)

// A table is [default] or a [[tenant]] of a policy's file. The keys that it lacks
// are those of the table that it inherits from, whole.
type table struct {
	Name    string            `toml:"name"`
	Modules []string          `toml:"modules"`
	Host    []string          `toml:"host"`
	Models  []string          `toml:"models"`
	Connect []string          `toml:"connect"`
	Env     map[string]string `toml:"env"`
	Folders []folderTable     `toml:"folders"`
	Clock   bool              `toml:"clock"`
	Random  bool              `toml:"random"`
	Meter   bool              `toml:"meter"`
	Quota   quotaTable        `toml:"quota"`
	Limits  limitsTable       `toml:"limits"`

	own  map[string]position // of the keys that it has
	head position            // where it begins, zero for none
	at   map[string]string   // where each key's value is from
}

type folderTable struct {
	Name  string `toml:"name"`
	Path  string `toml:"path"`
	Write bool   `toml:"write"`
}

type quotaTable struct {
	Instances     int    `toml:"instances"`
	Memory        Size   `toml:"memory"`
	Modules       int    `toml:"modules"`
	FuelPerSecond uint64 `toml:"fuel_per_second"`
	Channels      int    `toml:"channels"`
	Connections   int    `toml:"connections"`
	Buffers       Size   `toml:"buffers"`
	Weight        int    `toml:"weight"`

	EgressCalls       int  `toml:"egress_calls_per_second"`
	EgressConnections int  `toml:"egress_connections_per_second"`
	EgressOpen        int  `toml:"egress_connections"`
	EgressBytes       Size `toml:"egress_bytes_per_second"`
}

func (q quotaTable) quota() Quota {
	return Quota{
		Instances: q.Instances, Memory: int64(q.Memory), Modules: q.Modules, FuelPerSecond: q.FuelPerSecond,
		Channels: q.Channels, Connections: q.Connections, Buffers: int64(q.Buffers), Weight: q.Weight,
		Egress: Egress{q.EgressCalls, q.EgressConnections, q.EgressOpen, int64(q.EgressBytes)},
	}
}

type limitsTable struct {
	Memory   Size     `toml:"memory"`
	Output   Size     `toml:"output"`
	Fuel     uint64   `toml:"fuel"`
	Deadline duration `toml:"deadline"`
}

// A duration is a time.Duration, as text such as "100ms".
type duration time.Duration

func (d duration) String() string { return time.Duration(d).String() }

// UnmarshalText reads a duration.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration; write one such as \"100ms\"", clip(string(text)))
	}
	*d = duration(v)
	return nil
}

// fields returns what a table may have, by key.
func (t *table) fields() map[string]any {
	return map[string]any{
		"modules": &t.Modules, "host": &t.Host, "models": &t.Models, "connect": &t.Connect, "env": &t.Env, "folders": &t.Folders,
		"clock": &t.Clock, "random": &t.Random, "meter": &t.Meter,
		"quota.instances": &t.Quota.Instances, "quota.memory": &t.Quota.Memory, "quota.modules": &t.Quota.Modules,
		"quota.fuel_per_second": &t.Quota.FuelPerSecond, "quota.channels": &t.Quota.Channels, "quota.weight": &t.Quota.Weight,
		"quota.egress_calls_per_second": &t.Quota.EgressCalls, "quota.egress_connections_per_second": &t.Quota.EgressConnections,
		"quota.egress_connections": &t.Quota.EgressOpen, "quota.egress_bytes_per_second": &t.Quota.EgressBytes,
		"quota.connections": &t.Quota.Connections, "quota.buffers": &t.Quota.Buffers,
		"limits.memory": &t.Limits.Memory, "limits.output": &t.Limits.Output, "limits.fuel": &t.Limits.Fuel,
		"limits.deadline": &t.Limits.Deadline,
	}
}

// inherit takes over what t lacks.
func (t *table) inherit(from *table) {
	t.at = map[string]string{}
	given := from.fields()
	for key, field := range t.fields() {
		if at, ok := t.own[key]; ok {
			t.at[key] = at.String()
			continue
		}
		t.at[key] = from.at[key]
		reflect.ValueOf(field).Elem().Set(reflect.ValueOf(given[key]).Elem())
	}
}

// maxWeight bounds a tenant's weight: beside it one of weight 1 still gets its turn.
const maxWeight = 1000

// check complains of the values that t has itself.
func (t *table) check(c *checker) {
	t.each(c, "modules", t.Modules, goodDigest)
	t.each(c, "host", t.Host, goodPattern)
	t.each(c, "models", t.Models, goodPattern)
	t.each(c, "connect", t.Connect, func(s string) error {
		_, err := parsePattern(s)
		return err
	})
	t.each(c, "env", slices.Sorted(maps.Keys(t.Env)), envName)
	var folders []string
	for _, f := range t.Folders {
		folders = append(folders, f.Name)
		if _, own := t.own["folders"]; own && !filepath.IsAbs(f.Path) {
			t.bad(c, "folders", "path %q is not absolute", clip(f.Path))
		}
	}
	t.each(c, "folders", folders, folderName)
	t.checkNumbers(c)
}

func (t *table) checkNumbers(c *checker) {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"quota.instances", int64(t.Quota.Instances)}, {"quota.memory", int64(t.Quota.Memory)},
		{"quota.modules", int64(t.Quota.Modules)}, {"quota.channels", int64(t.Quota.Channels)},
		{"quota.connections", int64(t.Quota.Connections)}, {"quota.buffers", int64(t.Quota.Buffers)},
		{"quota.weight", int64(t.Quota.Weight)},
		{"quota.egress_calls_per_second", int64(t.Quota.EgressCalls)}, {"quota.egress_connections_per_second", int64(t.Quota.EgressConnections)},
		{"quota.egress_connections", int64(t.Quota.EgressOpen)}, {"quota.egress_bytes_per_second", int64(t.Quota.EgressBytes)},
		{"limits.memory", int64(t.Limits.Memory)}, {"limits.output", int64(t.Limits.Output)},
	} {
		if n.value < 0 {
			t.bad(c, n.key, "%d is negative; 0 is no bound", n.value)
		}
	}
	if t.Quota.Weight > maxWeight {
		t.bad(c, "quota.weight", "%d is over %d", t.Quota.Weight, maxWeight)
	}
	if !t.Meter && t.Limits.Fuel > 0 {
		t.bad(c, "limits.fuel", "fuel is not counted without meter = true")
	}
	if !t.Meter && t.Quota.FuelPerSecond > 0 {
		t.bad(c, "quota.fuel_per_second", "fuel is not counted without meter = true")
	}
}

// each checks the entries of a list that t has itself.
func (t *table) each(c *checker, key string, entries []string, check func(string) error) {
	if _, ok := t.own[key]; !ok {
		return
	}
	inner := &checker{}
	inner.list(key, entries, check)
	for _, err := range inner.errs {
		c.add("%s: %w", t.own[key].full(), err)
	}
}

// bad complains of key, or of what t combines it with.
func (t *table) bad(c *checker, key, format string, args ...any) {
	at, ok := t.own[key]
	if !ok {
		at = t.own["meter"]
	}
	c.add("%s: %s: %s", at.full(), key, fmt.Sprintf(format, args...))
}
