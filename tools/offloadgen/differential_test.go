package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// functionsAtOnce is how many marked functions a random package has.
const functionsAtOnce = 20

// TestDifferential makes random packages of marked functions with all that they read: what
// is initialised in odd ways, registries, methods behind interfaces, variables that change. It
// drops the functions that are refused, and compares the others natively and in the module.
// BUNGEE_FUNCS says how many functions there are to be:
//
//	BUNGEE_FUNCS=2000 go test ./tools/offloadgen -run TestDifferential -timeout 2h -v
func TestDifferential(t *testing.T) {
	wanted, err := strconv.Atoi(os.Getenv("BUNGEE_FUNCS"))
	if err != nil {
		t.Skip("builds a program for each 20 functions; BUNGEE_FUNCS=20 go test ./tools/offloadgen -run TestDifferential")
	}
	compared, refused := 0, 0
	for seed := uint64(1); compared < wanted && !t.Failed(); seed++ {
		p := newRandom(seed)
		for range functionsAtOnce {
			p.function(kinds[p.IntN(len(kinds))])
		}
		c, r, bad := p.compare(t)
		compared, refused = compared+c, refused+r
		for _, b := range bad {
			t.Errorf("seed %d: %s", seed, b)
		}
	}
	t.Logf("%d functions alike, %d refused", compared, refused)
}

// TestMutation switches off each rule in turn: the comparison of random packages notices.
func TestMutation(t *testing.T) {
	if os.Getenv("BUNGEE_FUNCS") == "" {
		t.Skip("builds a package a rule; BUNGEE_FUNCS=20 go test ./tools/offloadgen -run TestMutation")
	}
	for rule, broken := range map[string][]string{
		"initial": {"table", "registry", "order"}, "blanks": {"elsewhere"}, "params": {"inPlace"},
		"vars": {"changing"}, "rivals": {"rival", "method"}, "zones": {"zone"},
	} {
		t.Run(rule, func(t *testing.T) {
			switchedOff[rule] = true
			defer delete(switchedOff, rule)
			for _, kind := range broken {
				p := newRandom(1)
				for range 3 {
					p.function(kind)
				}
				if _, _, bad := p.compare(t); len(bad) == 0 {
					t.Errorf("without the rule %q no difference is seen in functions of the kind %q", rule, kind)
				}
			}
		})
	}
}

// kinds are those of functions, most often the plain one.
var kinds = []string{"plain", "plain", "plain", "generic", "table", "registry", "elsewhere", "order", "inPlace", "carried", "changing", "rival", "method", "zone"}

// A random is a random package, in the making.
type random struct {
	*rand.Rand
	seed  uint64
	names []string
	files map[string]string // by name
	main  strings.Builder   // what main does before it calls
	inout map[string]bool   // functions that carry back what they write to s
}

func newRandom(seed uint64) *random {
	return &random{Rand: rand.New(rand.NewPCG(seed, 7)), seed: seed, files: map[string]string{}, inout: map[string]bool{}}
}

// file adds text to a file of the package, under a header of its own.
func (p *random) file(name, head, text string) {
	if p.files[name] == "" {
		p.files[name] = head + "\n"
	}
	p.files[name] += text
}

// expr returns an expression of ints.
func (p *random) expr(depth int) string {
	leaf := []string{"a", "len(s)", "len(m)", strconv.Itoa(p.IntN(100) - 20), "s[0]"}
	if depth == 0 || p.IntN(4) == 0 {
		return leaf[p.IntN(len(leaf))]
	}
	x, y := p.expr(depth-1), p.expr(depth-1)
	switch p.IntN(6) {
	case 0:
		return "(" + x + ")/(1+(" + y + ")&7)"
	case 1:
		return "max(" + x + ", " + y + ")"
	case 2:
		return "int(int8(a^(" + x + ")))"
	case 3:
		return "(" + x + ")<<((" + y + ")&3)"
	}
	return "(" + x + ")" + string("+-*^"[p.IntN(4)]) + "(" + y + ")"
}

// constant returns a number that is not 0.
func (p *random) constant() int { return 1 + p.IntN(50) }

// function adds a marked function of that kind.
func (p *random) function(kind string) {
	n := len(p.names)
	p.names = append(p.names, fmt.Sprintf("f%d", n))
	own, value := fmt.Sprintf("_%d", n), p.expr(2)
	before := ""
	head := "package main"
	c := p.constant()
	switch kind {
	case "plain":
		before = fmt.Sprintf("\tfor i, x := range s {\n\t\tif x%%%d == 0 {\n\t\t\ta += %s\n\t\t} else {\n\t\t\ta ^= x * i\n\t\t}\n\t}\n", 2+p.IntN(3), p.expr(2))
	case "generic":
		before = fmt.Sprintf("\tdefer func() { _ = recover() }()\n\ta += fold%s(s, func(x, y int) int { return x*%d + y })\n", own, c)
		p.file("generic.go", head, fmt.Sprintf("\nfunc fold%s[T any](list []T, f func(T, T) T) (t T) {\n\tfor _, x := range list {\n\t\tt = f(t, x)\n\t}\n\treturn t\n}\n", own))
	case "table":
		value = fmt.Sprintf("table%s[a&7]+seq%[1]s[1]", own)
		p.file("a.go", head, fmt.Sprintf("\nvar table%s = map[int]int{}\n\nvar seq%[1]s []int\n\nfunc init() {\n\tseq%[1]s = append(seq%[1]s, %[2]d)\n\tfor i := range 8 {\n\t\ttable%[1]s[i] = i*%[2]d + 1\n\t}\n}\n", own, c))
		p.file("b.go", head, fmt.Sprintf("\nfunc init() { seq%s = append(seq%[1]s, seq%[1]s[0]+%[2]d) }\n", own, c))
	case "registry":
		value = fmt.Sprintf("sizeOf%s(a)", own)
		p.file("registry.go", head, fmt.Sprintf(`
type sizer%[1]s interface{ Size(int) int }

var sizers%[1]s = map[int]sizer%[1]s{}

func enter%[1]s(n int, s sizer%[1]s) bool { sizers%[1]s[n] = s; return true }

func sizeOf%[1]s(a int) int {
	if s := sizers%[1]s[a&1]; s != nil {
		return s.Size(a)
	}
	return -1
}
`, own))
		p.file("kinds.go", head, fmt.Sprintf("\ntype box%[1]s struct{ n int }\n\nfunc (b box%[1]s) Size(a int) int { return a + b.n }\n\nvar _ = enter%[1]s(1, box%[1]s{%[2]d})\n\nvar left%[1]s = []bool{enter%[1]s(0, &box%[1]s{%[3]d})}\n", own, c, p.constant()))
	case "elsewhere":
		value = fmt.Sprintf("reg%s.Of(a&1)", own)
		p.file("reg"+own+"/reg.go", "package reg"+own, "\nvar all = map[int]int{}\n\nfunc Register(n, v int) { all[n] = v }\n\nfunc Of(n int) int { return all[n] }\n")
		p.file("fill"+own+"/fill.go", "package fill"+own, fmt.Sprintf("\nimport \"example.com/app/reg%s\"\n\nfunc init() {\n\treg%[1]s.Register(0, %d)\n\treg%[1]s.Register(1, %d)\n}\n", own, c, p.constant()))
		p.file("fill"+own+".go", head, fmt.Sprintf("\nimport _ \"example.com/app/fill%s\"\n", own))
	case "order":
		value = fmt.Sprintf("first%s", own)
		p.file("order.go", head, fmt.Sprintf("\nvar first%[1]s = second%[1]s + 1\n\nvar second%[1]s = count%[1]s()\n\nvar unread%[1]s = func() int { first%[1]s *= %[2]d; return 0 }()\n\nvar third%[1]s = %[2]d\n\nfunc count%[1]s() int { third%[1]s += 2; return third%[1]s }\n", own, 1+c))
	case "inPlace":
		before = []string{"\ts[0] = s[1] + 1\n", "\tsort.Sort(sort.Reverse(sort.IntSlice(s)))\n\tsort.Ints(s)\n", "\tset" + own + "(&s)\n", "\tfunc(t []int) { t[len(t)-1]++ }(s[1:])\n"}[p.IntN(4)]
		p.file("set.go", head, fmt.Sprintf("\nfunc set%s(p *[]int) { copy(*p, []int{%d}) }\n", own, 100+c))
	case "carried":
		p.inout[p.names[n]] = true
		before = []string{"\ts[0] = a + 1\n", "\tsort.Ints(s)\n", "\tset" + own + "(&s)\n", "\tfunc(t []int) { t[len(t)-1] ^= a }(s[1:])\n"}[p.IntN(4)]
		p.file("set.go", head, fmt.Sprintf("\nfunc set%s(p *[]int) { *p = append((*p)[:2], %d) }\n", own, 100+c))
	case "changing":
		value = "state" + own
		p.file("state.go", head, fmt.Sprintf("\nvar state%s = %d\n\nfunc setState%[1]s(p *int) { *p = %[2]d + 1 }\n", own, c))
		fmt.Fprint(&p.main, []string{"\tstate" + own + "++\n", "\tsetState" + own + "(&state" + own + ")\n", "\tfunc() { state" + own + " = -1 }()\n"}[p.IntN(3)])
	case "rival":
		value = "platform" + own + "()"
		p.file("platform_linux.go", head, fmt.Sprintf("\nfunc platform%s() int { return %d }\n", own, c))
		p.file("platform_other.go", "//go:build !linux\n\npackage main", fmt.Sprintf("\nfunc platform%s() int { return %d }\n", own, -c))
	case "method":
		before = "\tm = fmt.Sprint(kind" + own + "(a), m)\n"
		p.file("kind.go", head, fmt.Sprintf("\ntype kind%s int\n", own))
		p.file("kind_linux.go", head, fmt.Sprintf("\nfunc (k kind%s) String() string { return \"kind %d\" }\n", own, c))
	case "zone":
		before = "\tif l, err := time.LoadLocation(\"Europe/Berlin\"); err != nil {\n\t\tm = err.Error()\n\t} else {\n\t\tm += time.Unix(int64(a), 0).In(l).String()\n\t}\n"
	}
	p.file("marked.go", "package main\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\t\"sort\"\n\t\"time\"\nIMPORTS)\n\nvar _ = sort.Ints\n\nvar _ time.Time\n",
		fmt.Sprintf("\n// %s is of the kind %s.\n//\n//offload:func%[5]s\nfunc %[1]s(ctx context.Context, a int, s []int, m string) (string, error) {\n%[3]s\treturn fmt.Sprint(%[4]s, m), nil\n}\n", p.names[n], kind, before, value, map[bool]string{true: " inout=s"}[p.inout[p.names[n]]]))
	if kind == "elsewhere" {
		p.files["marked.go"] = strings.Replace(p.files["marked.go"], "IMPORTS", "\t\"example.com/app/reg"+own+"\"\nIMPORTS", 1)
	}
}

// write writes the package with the functions that are left.
func (p *random) write(t *testing.T, dir string, dropped map[string]bool) {
	var archive strings.Builder
	for _, name := range sortedKeys(p.files) {
		text := strings.Replace(p.files[name], "IMPORTS", "", 1)
		for n := range dropped {
			text = regexp.MustCompile(`(?m)^//offload:func.*\nfunc `+n+`\(`).ReplaceAllString(text, "func "+n+"(")
		}
		fmt.Fprintf(&archive, "-- %s --\n%s", name, text)
	}
	fmt.Fprintf(&archive, "-- main.go --\npackage main\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\t\"slices\"\n\n\t\"github.com/bungee-xr/bungee/offload/pack\"\n)\n\nfunc main() {\n%s", p.main.String())
	left := 0
	for _, n := range p.names {
		if !dropped[n] {
			fmt.Fprintf(&archive, "\tcall(%d, %s, %[2]sFunc.Serve, %t)\n", left, n, p.inout[n])
			left++
		}
	}
	archive.WriteString(`}

type serve func(context.Context, []byte, []byte) []byte

func call(n int, f func(context.Context, int, []int, string) (string, error), s serve, inout bool) {
	for _, a := range []int{0, 1, -7, 1 << 40} {
		list := []int{a, 3, 1, 2}
		b := pack.AppendInt(pack.AppendArray(nil, 3), int64(a))
		b = pack.AppendArray(b, len(list))
		for _, x := range list {
			b = pack.AppendInt(b, int64(x))
		}
		b = pack.AppendString(b, "text")
		given := slices.Clone(list)
		f(context.Background(), a, given, "text")
		fmt.Printf("%d %x %x %t\n", n, b, s(context.Background(), b, nil), inout || slices.Equal(given, list))
	}
}
`)
	makeModule(t, dir, archive.String())
}

// source returns the marked function of that number, without those that were dropped.
func (p *random) source(fn int, dropped map[string]bool) string {
	left := slices.DeleteFunc(slices.Clone(p.names), func(n string) bool { return dropped[n] })
	_, text, _ := strings.Cut(p.files["marked.go"], "\n// "+left[fn]+" is ")
	text, _, _ = strings.Cut(text, "\n}")
	return text
}

// compare generates, without the functions that are refused, and returns how many functions
// are alike, how many were refused, and what is not alike.
func (p *random) compare(t *testing.T) (alike, refused int, bad []string) {
	t.Helper()
	dir := t.TempDir()
	dropped := map[string]bool{}
	for {
		p.write(t, dir, dropped)
		var out bytes.Buffer
		if len(dropped) == len(p.names) {
			return 0, refused, nil
		}
		status := run([]string{dir}, &out, &out)
		if status == 0 {
			break
		}
		before := len(dropped)
		for _, m := range regexp.MustCompile(`: (f\d+)( reaches |: |, )|\w(_\d+)[: ,.]`).FindAllStringSubmatch(out.String(), -1) {
			name := m[1]
			if name == "" {
				name = "f" + m[3][1:]
			}
			if slices.Contains(p.names, name) {
				dropped[name] = true
			}
		}
		if len(dropped) == before {
			return 0, refused, []string{"offloadgen: " + out.String()}
		}
		refused = len(dropped)
	}
	c := consumer{dir}
	out, ok := c.goRun(t, "run", ".")
	if !ok {
		return 0, refused, []string{"the program: " + out}
	}
	m := instantiate(t, unzip(t, filepath.Join(dir, wasmFile)))
	wrong := map[uint64]bool{}
	for line := range strings.Lines(out) {
		var fn uint64
		var request, want string
		var same bool
		if _, err := fmt.Sscan(line, &fn, &request, &want, &same); err != nil {
			t.Fatal(line, err)
		}
		if got := m.call(t, fn, request); got != want || !same {
			wrong[fn] = true
			bad = append(bad, fmt.Sprintf("function %d on %s: natively %s, its parameter left alone: %t; in the module %s\n%s", fn, request, want, same, got, p.source(int(fn), dropped)))
		}
	}
	return len(p.names) - len(dropped) - len(wrong), refused, bad
}
