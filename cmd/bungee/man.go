package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand is for whoever makes a package.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into DIR", Hidden: true, Args: cobra.ExactArgs(1),
		Long: `man writes a page for each command into DIR. Their date is that of SOURCE_DATE_EPOCH, if
it is set, so that a build can be repeated.`,
		RunE: func(c *cobra.Command, args []string) error { return writePages(args[0], c.Root(), pageDate()) },
	}
}

// pageDate returns the date of the pages.
func pageDate() string {
	at := time.Now()
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		at = time.Unix(s, 0)
	}
	return at.UTC().Format(time.DateOnly)
}

// writePages writes the page of c and of those below it.
func writePages(dir string, c *cobra.Command, date string) error {
	if err := os.WriteFile(filepath.Join(dir, pageName(c)+".1"), page(c, date), 0o644); err != nil {
		return err
	}
	for _, below := range shown(c) {
		if err := writePages(dir, below, date); err != nil {
			return err
		}
	}
	return nil
}

// shown returns the commands below c that help lists.
func shown(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(b *cobra.Command) bool { return !b.IsAvailableCommand() })
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page returns the manual page of a command (man(7)).
func page(c *cobra.Command, date string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %q 1 %q Bungee Bungee\n", strings.ToUpper(pageName(c)), date)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	b.WriteString(".SH DESCRIPTION\n")
	for n, paragraph := range strings.Split(strings.TrimSpace(longOf(c)), "\n\n") {
		if n > 0 {
			b.WriteString(".PP\n")
		}
		writeParagraph(&b, paragraph)
	}
	writeFlags(&b, "OPTIONS", c.NonInheritedFlags())
	writeFlags(&b, "OPTIONS OF THE COMMANDS ABOVE", c.InheritedFlags())
	var others []string
	if c.HasParent() {
		others = append(others, pageName(c.Parent()))
	}
	for _, below := range shown(c) {
		others = append(others, pageName(below))
	}
	if len(others) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, name := range others {
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(name), map[bool]string{true: ",", false: ""}[i < len(others)-1])
		}
	}
	return b.Bytes()
}

func longOf(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// writeParagraph keeps the lines of a paragraph that has columns or code, and fills others.
func writeParagraph(b *bytes.Buffer, text string) {
	kept := strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t") || strings.Contains(text, "\n ") || strings.Contains(text, "\n\t")
	if kept {
		b.WriteString(".nf\n")
	}
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(roff(strings.ReplaceAll(line, "\t", "    ")) + "\n")
	}
	if kept {
		b.WriteString(".fi\n")
	}
}

func writeFlags(b *bytes.Buffer, section string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", section)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
		}
		if d := f.DefValue; !strings.Contains(usage, "default") && !slices.Contains([]string{"", "0", "false", "[]", "0s"}, d) {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(b, "\n%s\n", roff(usage))
	})
}

// roff escapes a line of text, so that none of it is a request and each dash is one to copy.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}
