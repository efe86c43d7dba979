from django.urls import path
from store import views

urlpatterns = [
    path("", views.front),
    path("uploads/<str:name>", views.upload),
]
