"""The implicit behavioural interest module: backbones and their losses."""
