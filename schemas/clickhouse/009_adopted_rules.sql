-- The rules of identity that an adopt takes into force, as YAML; empty for every other decision.
ALTER TABLE {{.Database}}.decisions {{.OnCluster}} ADD COLUMN IF NOT EXISTS rules String CODEC(ZSTD(3)) AFTER undoes;
