// Gen writes internal/catalog/data/models.jsonl from the documented input tables.
//
//	go run ./gen -from DIR        (or DAILIES_MODEL_TABLES=DIR go generate ./internal/catalog)
//
// DIR holds _catalog_all.json (every documented model, inputs as tuples) and model_*.json (one model each, with
// more facts). A model's own file wins over the catalogue, because it was read later or more closely. What the
// guides say in prose and no table holds is in facts.json, next to this file. The output depends on nothing else:
// the same tables make the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	from := flag.String("from", os.Getenv("DAILIES_MODEL_TABLES"), "folder with the documented tables")
	out := flag.String("out", "data/models.jsonl", "file to write")
	flag.Parse()
	if err := run(*from, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(from, out string) error {
	if from == "" {
		return fmt.Errorf("no tables: give -from DIR or set DAILIES_MODEL_TABLES")
	}
	snapshot, err := build(os.DirFS(from), facts)
	if err != nil {
		return err
	}
	return os.WriteFile(out, snapshot, 0o644)
}
