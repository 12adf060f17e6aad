"""Named subsets: definitions, predicates over the measures, exact draws by hash."""
