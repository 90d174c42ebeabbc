"""What gunicorn serves: `gunicorn --workers 1 --threads 8 --bind :9090 _wsgi:app`.

One worker: it holds the network, and what earlier clicks came to. Without --preload, as JAX does
not survive a fork.
"""

from label_studio_ml.api import init_app
from model import RSISRefiner, segmenter

segmenter()  # loads the network, so that the first click need not wait for it
app = init_app(model_class=RSISRefiner)
