"""What makes the models: data sets, training, calibration, figures. The job never imports it."""
