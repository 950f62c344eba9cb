"""A folder of images of your own, or ImageNet: sizes are counted in it, or known by its list of classes."""

from ..image_folder import image_folder

SIZES = None
load = image_folder
