"""What an interaction is made of, in training, evaluation, the Predictor and the annotator alike.

clicks        clicks of one object, and of a batch on the device
mask_values   what a mask that somebody gives means
click_model   what the engine asks of a network
annotator     the simulated annotator: where the next click goes
search        its best and worst click, by asking the network
zoom_in       the crop that the network is shown
loop, slots   the click loop of many objects, whole on the device
session       one object clicked interactively
simulate      one object clicked by the simulated annotator, with the host in the loop
external      models of another kind: what one is asked, shown (`external_views`) and clicked by
              (`external_loop`)
metrics       IoU, NoC, NoF, the mIoU curve
"""
