package main

import "context"

// identityLinkCmd links with what was learned before: oneid match, but that
// model and learning are there.
type identityLinkCmd struct {
	tableFlags
	Model   string   `required:"" help:"YAML file that says what is compared." placeholder:"FILE"`
	Learned string   `required:"" help:"JSON file of 'oneid identity train' with this model." placeholder:"FILE"`
	Out     string   `help:"CSV file to write: id,cluster, a row for every record." default:"clusters.csv" placeholder:"FILE"`
	Pairs   string   `help:"CSV file for the links from the threshold up, also those that were not followed, and the pairs to review: id_l,id_r,probability,weight." placeholder:"FILE"`
	Refused string   `help:"CSV file for the links that were not followed: id_l,id_r,probability,weight,reason." placeholder:"FILE"`
	Truth   string   `help:"What is right, to measure by: a column of the input, or a file id,cluster." placeholder:"COLUMN|FILE"`
	JSON    bool     `name:"json" help:"Print one JSON object with the figures."`
	Input   []string `arg:"" help:"CSV files, UTF-8, GBK or Latin-1, with the names of the columns in the first line, between commas, semicolons or tabs; and Parquet files."`
}

// Help shows below the usage.
func (identityLinkCmd) Help() string {
	return "Compares and clusters records by what `oneid identity train` learned, and learns nothing: the same pair weighs the same today and next month. It is `oneid match` with --model and --learned.\n\n" +
		"It refuses what was learned for another model, and names what differs. Where the records differ much from those of the training, or other pairs are compared, a note says so. The thresholds (accept, review) are the model's, and may be changed without training anew.\n\n" +
		"Try: oneid identity link customers.csv --model model.yaml --learned learned.json --out clusters.csv --pairs pairs.csv"
}

// Run links.
func (c identityLinkCmd) Run(ctx context.Context) error {
	return matchCmd{
		tableFlags: c.tableFlags, Out: c.Out, Pairs: c.Pairs, Refused: c.Refused, Truth: c.Truth,
		Model: c.Model, Learned: c.Learned, JSON: c.JSON, Input: c.Input,
	}.Run(ctx)
}
