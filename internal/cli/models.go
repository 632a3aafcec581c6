package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dailies/internal/catalog"
	"dailies/pipeline"
)

func (a *app) modelsCommand() *cobra.Command {
	var asJSON, refresh bool
	cmd := &cobra.Command{
		Use: "models [MODEL] [flags]", Short: "Show what models accept: a list, or one contract in full", Args: cobra.MaximumNArgs(1),
		Long: `Without a model, lists every model with a known contract. With one, by alias or full id, shows what it takes.

--refresh asks the API for the live contract and keeps it; it then wins over the one in this program. Without a
model it refreshes those that were refreshed before.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			acc := accountFromEnvironment()
			c := a.loadContracts(cmd.Context(), acc, nil)
			if refresh {
				if err := c.refreshModels(acc, args); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				return a.listModels(c.Catalog, asJSON)
			}
			return a.showModel(c.Catalog, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&refresh, "refresh", false, "ask the API for the live contract")
	return cmd
}

// refreshModels asks the API about the named models, or about those that were asked about before.
func (c *contracts) refreshModels(acc account, names []string) error {
	if !acc.known() {
		return pipeline.Errorf(pipeline.CodeCredentialsNone, "no Scenario API key is set")
	}
	conn, err := acc.connect(0, &watcher{})
	if err != nil {
		return err
	}
	defer conn.close()
	c.live = conn.Client
	var ids []string
	for _, name := range names {
		if m, err := c.Model(name); err == nil {
			name = m.ID
		}
		ids = append(ids, name)
	}
	if len(names) == 0 {
		records, _ := c.cache.Load()
		for id := range records {
			ids = append(ids, id)
		}
	}
	return c.refresh(ids...)
}

func (a *app) listModels(c *catalog.Catalog, asJSON bool) error {
	if asJSON {
		var records []json.RawMessage
		for _, r := range c.Records() {
			records = append(records, r)
		}
		return a.printJSON(records)
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tALIASES\tMAKES\tNAME")
	n := 0
	for m := range c.Models() {
		n++
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.ID, strings.Join(c.Aliases(m.ID), ", "), m.Makes(), pipeline.Plain(m.Name))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\n%d models, as documented on %s; dailies models MODEL shows one in full\n", n, c.Date().Format("2006-01-02"))
	return err
}

func (a *app) showModel(c *catalog.Catalog, name string, asJSON bool) error {
	m, err := c.Model(name)
	if err != nil {
		return err
	}
	if asJSON {
		record, _ := c.Record(m.ID)
		return a.printJSON(record)
	}
	fmt.Fprintf(a.Stdout, "%s (%s)\n", m.ID, pipeline.Plain(m.Name))
	if names := c.Aliases(m.ID); len(names) > 0 {
		fmt.Fprintf(a.Stdout, "also written: %s\n", strings.Join(names, ", "))
	}
	fmt.Fprintf(a.Stdout, "makes: %s (%s)\n", cmp.Or(m.Makes(), "unknown"), strings.Join(m.Capabilities, ", "))
	switch {
	case !m.FetchedAt.IsZero():
		fmt.Fprintf(a.Stdout, "contract: live, asked on %s\n", m.FetchedAt.Format("2006-01-02"))
	case !m.Date.IsZero():
		fmt.Fprintf(a.Stdout, "contract: documented on %s\n", m.Date.Format("2006-01-02"))
	}
	if m.Successor != "" {
		fmt.Fprintf(a.Stdout, "deprecated: its successor is %s\n", m.Successor)
	}
	fmt.Fprintln(a.Stdout)
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INPUT\tTYPE\tDEFAULT\tTAKES\t")
	for _, in := range m.Inputs {
		required := ""
		if in.Required {
			required = "required"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", in.Name, in.Type, defaultOf(in), takes(in), required)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i, rule := range m.Rules() {
		if i == 0 {
			fmt.Fprintln(a.Stdout)
		}
		fmt.Fprintf(a.Stdout, "rule: %s\n", rule)
	}
	return nil
}

// takes is what an input takes, in words.
func takes(in catalog.Input) string {
	var words []string
	if len(in.Allowed) > 0 {
		const most = 16
		for i, v := range in.Allowed {
			if i == most {
				words = append(words, fmt.Sprintf("and %d more", len(in.Allowed)-most))
				break
			}
			words = append(words, fmt.Sprint(v))
		}
		return strings.Join(words, ", ")
	}
	number := func(f *float64) string {
		if f == nil {
			return "…"
		}
		return strconv.FormatFloat(*f, 'f', -1, 64)
	}
	if in.Min != nil || in.Max != nil {
		words = append(words, number(in.Min)+" to "+number(in.Max))
	}
	if in.Kind != "" {
		words = append(words, in.Kind+" file or asset id")
	}
	if in.MaxLength > 0 {
		words = append(words, fmt.Sprintf("length up to %d", in.MaxLength))
	}
	if in.MaxBytes > 0 {
		words = append(words, "up to "+pipeline.Size(in.MaxBytes))
	}
	return strings.Join(words, "; ")
}

func defaultOf(in catalog.Input) string {
	if in.Default == nil {
		return ""
	}
	b, err := json.Marshal(in.Default)
	if err != nil {
		return ""
	}
	return string(b)
}
