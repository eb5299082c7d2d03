"""From a sample to a judged model: samples, fitting, evaluation, gate."""
