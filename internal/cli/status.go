package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dailies/internal/ledger"
	"dailies/pipeline"
)

type statusFlags struct {
	reading
	placeFlags
	sandbox bool
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status MANIFEST [flags]", Short: "Show what the ledger knows of every item", Args: cobra.ExactArgs(1),
		Long: "Shows what the ledger knows of every item: nothing is asked of the API, and nothing is changed.",
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args[0], f, asJSON) },
	}
	f.reading.flags(cmd)
	f.placeFlags.flags(cmd)
	cmd.Flags().BoolVar(&f.sandbox, "sandbox", false, "show the rehearsal's records instead")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the records as JSON")
	return cmd
}

func (a *app) status(cmd *cobra.Command, path string, f statusFlags, asJSON bool) error {
	acc := accountFromEnvironment()
	m, err := f.load(path, a.contractsFor(cmd.Context(), acc, nil, f.sandbox))
	if err != nil {
		return err
	}
	output, state := f.places(m)
	realm := acc.realm()
	if f.sandbox {
		realm = sandboxRealm
	} else if !acc.known() {
		return pipeline.Errorf(pipeline.CodeCredentialsNone, "no Scenario API key is set, and the key says which project's records to show")
	}
	dest, records, err := openStores(cmd.Context(), output, state)
	if err != nil {
		return err
	}
	defer dest.Close()
	defer records.Close()
	entries, err := ledger.Open(records, realm).Load(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		known := make([]pipeline.Record, 0, len(m.Items))
		for _, it := range m.Items {
			if e, ok := entries[it.ID]; ok {
				known = append(known, e.Record)
			}
		}
		return a.printJSON(known)
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ITEM\tSTATE\tJOB\tCU\tFILES")
	for _, it := range m.Items {
		e, ok := entries[it.ID]
		r := e.Record
		state, cost, files := string(r.State), "", ""
		switch {
		case e.Damaged != nil:
			state = e.Damaged.Message
		case !ok:
			state = "new"
		case r.Fingerprint != it.Fingerprint:
			state = "changed"
		case r.State == pipeline.Broken && r.Error != nil:
			state = "failed: " + string(r.Error.Code)
		case r.State == pipeline.Stored:
			if o := pipeline.Known(it, e); o.Err != nil { // delivered, and not what was wanted
				state = string(o.Status)
			}
		}
		if r.Cost != nil {
			cost = r.Cost.String()
		}
		if n := len(r.Outputs); n > 0 {
			files = r.Outputs[0].Key
			if n > 1 {
				files += fmt.Sprintf(" and %d more", n-1)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", it.ID, state, r.JobID, cost, files)
	}
	return w.Flush()
}
