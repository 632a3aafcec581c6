package report

import (
	"encoding/json"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"dailies/pipeline"
)

// ResultsSchema is the JSON Schema (2020-12) of results.json, as this version of the program writes it.
func ResultsSchema() *jsonschema.Schema {
	var statuses, codes []any
	for _, s := range pipeline.Statuses {
		statuses = append(statuses, string(s))
	}
	for _, c := range pipeline.Codes() {
		codes = append(codes, string(c))
	}
	s, err := jsonschema.For[results](&jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[pipeline.CU]():     {Type: "number", Minimum: new(0.0), Description: "creative units"},
		reflect.TypeFor[pipeline.Status](): {Type: "string", Enum: statuses},
		reflect.TypeFor[pipeline.Code]():   {Type: "string", Enum: codes},
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {Type: "object", Description: "the body of the submit; before it was sent {\"file\": name} and {\"item\": id} stand where asset ids will"},
	}})
	if err != nil {
		panic(err) // a matter of the types above and nothing else
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = ResultsVersion
	s.Description = "The results manifest of one run of dailies: what became of every item, in manifest order."
	s.Properties["schema"].Const = new(any(ResultsVersion))
	return s
}
