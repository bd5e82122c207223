package capability

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Rules are what a policy says about one tenant. [Policy.For] makes them.
type Rules struct {
	// Tenant is the name of the tenant.
	Tenant string
	// Quota bounds what the tenant holds. Tenants that match the same [[tenant]]
	// table each have a quota of their own.
	Quota Quota
	// Meter says that the tenant's modules count everything in a bill.
	Meter bool

	table *table
}

// A Refusal is the error about a capability that a module asks for and is not granted.
type Refusal struct {
	Capability string // the key in manifest and policy, such as "connect" or "limits.memory"
	What       string // the value that is refused, such as "api.example:443"
	Tenant     string
	Where      string // the line of the policy that decides, "edge.toml:12", or "the built-in policy"
	Cure       string // what to do about it
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("tenant %q is not granted %s %s: %s decides; %s",
		r.Tenant, r.Capability, r.What, cmp.Or(r.Where, "a grant without a policy"), r.Cure)
}

// Grant returns what a module with manifest m may use: everything that m asks for. A
// limit that m does not ask for is the policy's. The error is that of [Manifest.Check],
// or wraps a [*Refusal] for each part that is withheld, at most 16.
func (r Rules) Grant(m Manifest) (Grant, error) {
	if err := m.Check(); err != nil {
		return Grant{}, err
	}
	w := &weighing{Rules: r, t: cmp.Or(r.table, &table{})}
	w.names("host", m.Host, w.t.Host)
	w.names("models", m.Models, w.t.Models)
	w.flag("clock", m.Clock, w.t.Clock)
	w.flag("random", m.Random, w.t.Random)
	g := Grant{
		Host: slices.Clone(m.Host), Models: slices.Clone(m.Models),
		Folders: w.folders(m.Folders), Env: w.env(m.Env),
		Clock: m.Clock, Random: m.Random, Limits: w.limits(m.Limits),
		Tenant: r.Tenant, Egress: r.Quota.Egress,
	}
	if slices.Contains(m.Models, all) {
		g.Models = slices.Clone(w.t.Models)
	}
	w.connect(&g, m.Connect)
	if err := join(w.refused); err != nil {
		return Grant{}, err
	}
	return g, nil
}

// Equal says whether g and o grant the same, whichever line of a policy decides.
func (g Grant) Equal(o Grant) bool {
	g.connectAt, o.connectAt = "", ""
	return reflect.DeepEqual(g, o)
}

// A weighing compares what a module asks for with what its tenant may have.
type weighing struct {
	Rules
	t       *table
	refused []*Refusal
}

// refuse notes a refusal. line is what the policy would need.
func (w *weighing) refuse(key, what, line string) {
	w.refused = append(w.refused, &Refusal{key, what, w.Tenant, w.t.at[key], w.cure(key, line)})
}

// cure says where a policy would need line: if it can, where it changes nothing for
// others.
func (w *weighing) cure(key, line string) string {
	_, own := w.t.own[key]
	switch {
	case own:
		return "it could have " + line
	case w.t.head.line > 0:
		return fmt.Sprintf("the table at %s could have %s of its own", w.t.head, line)
	}
	return fmt.Sprintf("a policy file could have %s in [default] or in a [[tenant]]", line)
}

// names refuses the names that match none of the patterns. "*" is fine if there are
// any.
func (w *weighing) names(key string, names, patterns []string) {
	for _, n := range names {
		granted := n == all && len(patterns) > 0
		for _, p := range patterns {
			granted = granted || n != all && match(p, n)
		}
		if !granted {
			w.refuse(key, strconv.Quote(n), fmt.Sprintf("%s = [%q]", key, n))
		}
	}
}

func (w *weighing) folders(asked []Folder) (granted []GrantedFolder) {
	for _, a := range asked {
		i := slices.IndexFunc(w.t.Folders, func(f folderTable) bool { return f.Name == a.Name })
		switch {
		case i < 0:
			w.refuse("folders", strconv.Quote(a.Name), fmt.Sprintf("folders = [{name = %q, path = \"...\", write = %t}]", a.Name, a.Write))
		case a.Write && !w.t.Folders[i].Write:
			w.refuse("folders", strconv.Quote(a.Name)+" for writing", "write = true")
		default:
			granted = append(granted, GrantedFolder{a.Name, w.t.Folders[i].Path, a.Write})
		}
	}
	return granted
}

// connect leaves in g what the module may connect to.
func (w *weighing) connect(g *Grant, asked []string) {
	g.connectAt = w.t.at["connect"]
	if len(asked) == 0 {
		return
	}
	g.Connect = slices.Clone(w.t.Connect)
	if asked[0] == all && len(g.Connect) > 0 {
		return
	}
	g.Only = slices.Clone(asked)
	for _, a := range asked {
		if g.Connects(a) != nil {
			w.refuse("connect", strconv.Quote(a), fmt.Sprintf("connect = [%q]", a))
		}
	}
}

func (w *weighing) env(asked []string) map[string]string {
	if len(asked) == 0 {
		return nil
	}
	granted := map[string]string{}
	for _, name := range asked {
		value, ok := w.t.Env[name]
		if !ok {
			w.refuse("env", name, fmt.Sprintf("env = {%s = \"...\"}", name))
		}
		granted[name] = value
	}
	return granted
}

func (w *weighing) flag(key string, asked, granted bool) {
	if asked && !granted {
		w.refuse(key, "at all", key+" = true")
	}
}

func (w *weighing) limits(asked Limits) Limits {
	most := w.t.Limits
	if asked.Fuel > 0 && !w.Meter {
		w.refuse("meter", "for its limit on fuel", "meter = true")
	}
	if quota := w.t.Quota.Memory; quota > 0 && Size(asked.Memory) > quota {
		w.over("quota.memory", Size(asked.Memory), quota)
	}
	return Limits{
		Memory:   int64(limit(w, "limits.memory", Size(asked.Memory), most.Memory)),
		Output:   int(limit(w, "limits.output", Size(asked.Output), most.Output)),
		Fuel:     limit(w, "limits.fuel", asked.Fuel, most.Fuel),
		Deadline: time.Duration(limit(w, "limits.deadline", duration(asked.Deadline), most.Deadline)),
	}
}

// limit returns the limit on what a module asks for, and refuses what is over the
// policy's. Zero is none.
func limit[T Size | duration | uint64](w *weighing, key string, asked, most T) T {
	switch {
	case asked == 0:
		return most
	case most > 0 && asked > most:
		w.over(key, asked, most)
	}
	return asked
}

// over refuses a number that is over the policy's.
func (w *weighing) over(key string, asked, most any) {
	value := fmt.Sprint(asked)
	if _, number := asked.(uint64); !number {
		value = strconv.Quote(value)
	}
	w.refuse(key, fmt.Sprintf("of %v, over %v", asked, most), key+" = "+value)
}
