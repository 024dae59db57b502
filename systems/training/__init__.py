"""The trainer that systems trained here share: a plain loop, published recipes, mixtures made as they are needed."""
