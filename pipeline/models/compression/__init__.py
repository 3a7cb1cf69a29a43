"""The image codec's networks: transforms, hyperprior, context, exact integer layers, and what is exported."""
